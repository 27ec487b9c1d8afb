// A stand-in for systemd on a bus of the tests' own, because the machines that build and test have
// no systemd as their first process. It has the few properties that Swerve asks for and sends the
// signals that systemd sends. It takes lines on its standard input and answers each with "ok":
//
//   unit NAME ACTIVE_STATE MAIN_PID    makes the unit so, and tells subscribers what changed
//   mute                               answers nothing more
//
// The bus is the one that DBUS_SYSTEM_BUS_ADDRESS names. It ends with its input.

#include <poll.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

namespace {

constexpr auto prefix = "/org/freedesktop/systemd1/unit";
constexpr auto unit_interface = "org.freedesktop.systemd1.Unit";
constexpr auto service_interface = "org.freedesktop.systemd1.Service";

struct Unit {
    std::string active_state = "inactive";
    std::uint32_t main_pid = 0;
};

std::map<std::string, Unit> units;
bool is_subscribed = false;

Unit* unit_at(const char* path) {
    char* name = nullptr;
    if (sd_bus_path_decode(path, prefix, &name) <= 0) return nullptr;
    const auto found = units.find(name);
    std::free(name);
    return found == units.end() ? nullptr : &found->second;
}

int get(sd_bus* /*bus*/, const char* path, const char* /*interface*/, const char* property,
        sd_bus_message* reply, void* /*data*/, sd_bus_error* /*error*/) {
    // systemd has an object for any name, which it says is not loaded.
    static const Unit none;
    const Unit* known = unit_at(path);
    const Unit& unit = known == nullptr ? none : *known;
    if (std::strcmp(property, "MainPID") == 0) {
        return sd_bus_message_append(reply, "u", unit.main_pid);
    }
    if (std::strcmp(property, "LoadState") == 0) {
        return sd_bus_message_append(reply, "s", known == nullptr ? "not-found" : "loaded");
    }
    return sd_bus_message_append(reply, "s", unit.active_state.c_str());
}

int find_any(sd_bus* /*bus*/, const char* /*path*/, const char* /*interface*/, void* /*data*/,
             void** found, sd_bus_error* /*error*/) {
    *found = &units;
    return 1;
}

int subscribe(sd_bus_message* call, void* /*data*/, sd_bus_error* /*error*/) {
    is_subscribed = true;
    return sd_bus_reply_method_return(call, "");
}

const sd_bus_vtable manager_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Subscribe", "", "", subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};
const sd_bus_vtable unit_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("ActiveState", "s", get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("LoadState", "s", get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};
const sd_bus_vtable service_table[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("MainPID", "u", get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

void change(sd_bus* bus, std::istringstream& words) {
    std::string name;
    Unit to;
    words >> name >> to.active_state >> to.main_pid;
    const Unit before = std::exchange(units[name], to);
    if (!is_subscribed) return;
    char* path = nullptr;
    if (sd_bus_path_encode(prefix, name.c_str(), &path) < 0) return;
    if (before.main_pid != to.main_pid) {
        sd_bus_emit_properties_changed(bus, path, service_interface, "MainPID", nullptr);
    }
    if (before.active_state != to.active_state) {
        sd_bus_emit_properties_changed(bus, path, unit_interface, "ActiveState", nullptr);
    }
    std::free(path);
}

int fault(const char* what, int error) {
    std::fprintf(stderr, "systemd_stand_in: %s: %s\n", what, std::strerror(-error));
    return 1;
}

}  // namespace

int main() {
    sd_bus* bus = nullptr;
    if (const int r = sd_bus_open_system(&bus); r < 0) return fault("open the bus", r);
    sd_bus_add_object_vtable(bus, nullptr, "/org/freedesktop/systemd1",
                             "org.freedesktop.systemd1.Manager", manager_table, nullptr);
    sd_bus_add_fallback_vtable(bus, nullptr, prefix, unit_interface, unit_table, find_any, nullptr);
    sd_bus_add_fallback_vtable(bus, nullptr, prefix, service_interface, service_table, find_any,
                               nullptr);
    if (const int r = sd_bus_request_name(bus, "org.freedesktop.systemd1", 0); r < 0) {
        return fault("take the name", r);
    }
    std::cout << "ready" << std::endl;
    bool is_mute = false;
    std::string input;
    for (;;) {
        while (!is_mute && sd_bus_process(bus, nullptr) > 0) {
        }
        pollfd wait[] = {{STDIN_FILENO, POLLIN, 0}, {sd_bus_get_fd(bus), POLLIN, 0}};
        if (poll(wait, is_mute ? 1 : 2, -1) < 0 || wait[0].revents == 0) continue;
        char chunk[4096];
        const ssize_t count = read(STDIN_FILENO, chunk, sizeof chunk);
        if (count <= 0) return 0;
        input.append(chunk, static_cast<std::size_t>(count));
        for (std::size_t end = 0; (end = input.find('\n')) != std::string::npos;) {
            std::istringstream words(input.substr(0, end));
            input.erase(0, end + 1);
            std::string word;
            words >> word;
            if (word == "unit") change(bus, words);
            if (word == "mute") is_mute = true;
            sd_bus_flush(bus);
            std::cout << "ok" << std::endl;
        }
    }
}
