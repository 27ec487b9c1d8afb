// Effects, degrees, damping, addresses, hooks: what is read, what is printed, what changes.

#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "swerve/conf/change.hpp"
#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;
using failover::DampingPolicy;
using failover::DampingProfile;
using failover::Effect;
using failover::Scope;
using health::OnUnknown;

Check check_of(const std::string& keys, const std::string& others = "") {
    return config_of(head + neighbors + "checks:\n" + others +
                     "  web: {tcp: {endpoint: \"198.51.100.1:80\"}" + keys + "}\n")
        .checks.back();
}

const std::string answering_check =
    "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok}}\n";

Service service_of(const std::string& keys, const std::string& file_keys = "") {
    return config_of(head + neighbors + answering_check + file_keys +
                     "services:\n  portal: {prefixes: [198.51.100.0/24], healthy_when: web" + keys +
                     "}\n")
        .services.at(0);
}

TEST_CASE("checks: what a failure may do follows from its scope, unless it is said") {
    const Check local = check_of("");
    CHECK(local.scope == Scope::local);
    CHECK(local.effect == Effect::withdraw);
    CHECK(local.timing.on_unknown == OnUnknown::fail);
    CHECK(local.timing.hold_unknown == 30s);
    CHECK_FALSE(local.only_if);
    const Check shared = check_of(", scope: shared");
    CHECK(shared.scope == Scope::shared);
    CHECK(shared.effect == Effect::gate);
    CHECK(shared.timing.on_unknown == OnUnknown::hold);
    const Check said =
        check_of(", scope: shared, effect: alarm, on_unknown: fail, unknown_hold: 0s");
    CHECK(said.effect == Effect::alarm);
    CHECK(said.timing.on_unknown == OnUnknown::fail);
    CHECK(said.timing.hold_unknown == 0s);
    CHECK(check_of(", effect: degrade").effect == Effect::degrade);
    CHECK(check_of(", only_if: db", "  db: {tcp: {endpoint: \"198.51.100.1:81\"}}\n").only_if ==
          0U);
}

TEST_CASE("checks: what they may do, and for whom they wait, is no part of their evidence") {
    const std::string db = "  db: {tcp: {endpoint: \"198.51.100.1:81\"}}\n";
    const auto plain = fingerprint(check_of(""));
    for (const std::string keys : {", scope: shared", ", effect: gate", ", on_unknown: hold",
                                   ", unknown_hold: 1s", ", only_if: db"}) {
        CHECK(fingerprint(check_of(keys, db)) == plain);
    }
}

TEST_CASE("services: degrees have defaults, and what is said takes their place") {
    const Service plain = service_of("");
    CHECK_FALSE(plain.degraded_when);
    CHECK(plain.degrade.prepend == 2U);
    CHECK(plain.drain_degraded_for == 0s);
    CHECK(plain.graceful_shutdown_for == 10s);
    CHECK(plain.return_degraded_for == 0s);
    CHECK_FALSE(plain.rto);
    CHECK_FALSE(plain.addresses);
    const Service said = service_of(
        ", degraded_when: {not: web}, degrade: {med: 7, communities: [\"1:1\"]}, drain: "
        "{degrade_for: 1m}, return: {degrade_for: 2m}, rto: 20s, addresses: {interface: dum0, add: "
        "[198.51.100.1/32, \"2001:db8::1/128\"], grace: 0s}");
    REQUIRE(said.degraded_when);
    CHECK(said.degraded_when->op == health::Expression::Op::negation);
    CHECK_FALSE(said.degrade.prepend);
    CHECK(said.degrade.med == 7U);
    CHECK(said.degrade.communities == std::vector{Community{0x10001}});
    CHECK(said.drain_degraded_for == 1min);
    CHECK(said.graceful_shutdown_for == 10s);
    CHECK(said.return_degraded_for == 2min);
    CHECK(said.rto == 20s);
    REQUIRE(said.addresses);
    CHECK(said.addresses->interface == "dum0");
    CHECK(said.addresses->add.size() == 2);
    CHECK(said.addresses->grace == 0s);
    CHECK(service_of(", addresses: {add: [198.51.100.1/32]}").addresses->interface == "lo");
}

TEST_CASE(
    "damping: a service says key by key what differs from the file, and the file from cisco") {
    const DampingPolicy cisco{DampingProfile::cisco, 0s, 12};
    CHECK(service_of("").damping == cisco);
    CHECK(service_of("", "damping: {profile: junos, hold_down: 5s}\n").damping ==
          DampingPolicy{DampingProfile::junos, 5s, 12});
    CHECK(service_of(", damping: {profile: rfc7196, changes_per_hour: 0}",
                     "damping: {hold_down: 5s}\n")
              .damping == DampingPolicy{DampingProfile::rfc7196, 5s, 0});
    CHECK(service_of(", damping: {profile: none}").damping ==
          DampingPolicy{DampingProfile::none, 0s, 12});
}

TEST_CASE("site_policy: hands over what the decision needs of all that") {
    const Config config = config_of(
        head + neighbors +
        "checks:\n  db: {tcp: {endpoint: \"198.51.100.1:81\"}, effect: degrade}\n"
        "  web: {tcp: {endpoint: \"198.51.100.1:80\"}, scope: shared, only_if: db, unknown_hold: "
        "5s}\n"
        "services:\n  p: {prefixes: [198.51.100.0/24], healthy_when: web, degraded_when: db, "
        "drain: {degrade_for: 1s}, return: {degrade_for: 2s}, damping: {profile: junos}}\n");
    const failover::SitePolicy policy = site_policy(config, 7);
    CHECK(policy.checks[0].effect == Effect::degrade);
    CHECK(policy.checks[1].scope == Scope::shared);
    CHECK(policy.checks[1].effect == Effect::gate);
    CHECK(policy.checks[1].only_if == 0U);
    CHECK(policy.checks[1].tracker.on_unknown == OnUnknown::hold);
    CHECK(policy.checks[1].tracker.hold_unknown == 5s);
    CHECK(policy.services[0].degraded_when == config.services[0].degraded_when);
    CHECK(policy.services[0].drain_degraded_for == 1s);
    CHECK(policy.services[0].return_degraded_for == 2s);
    CHECK(policy.services[0].damping.profile == DampingProfile::junos);
}

const std::string told =
    "hooks:\n  page: {run: [/bin/page, -x, \"\"], on: [alarm, withdraw], services: [portal], "
    "timeout: 2s}\n"
    "webhooks:\n  chat: {url: \"https://ops.example:8443/swerve?site=fra1\", on: [announce]}\n";

TEST_CASE("hooks and webhooks: read, printed and read again") {
    const Config config = config_of(head + neighbors + checks + services + told);
    REQUIRE(config.hooks.size() == 1);
    const Hook& hook = config.hooks[0];
    CHECK(hook.name == "page");
    CHECK(hook.argv == std::vector<std::string>{"/bin/page", "-x", ""});
    CHECK(hook.on == std::set{Occasion::alarm, Occasion::withdraw});
    CHECK(hook.services == std::vector<failover::ServiceId>{0});
    CHECK(hook.timeout == 2s);
    REQUIRE(config.webhooks.size() == 1);
    const Webhook& webhook = config.webhooks[0];
    CHECK(webhook.url == "https://ops.example:8443/swerve?site=fra1");
    CHECK(webhook.timeout == 5s);
    CHECK(webhook.attempts == 5);
    CHECK_FALSE(webhook.services);
    CHECK(webhook.bearer_file.empty());
    CHECK(config_of(print(config)) == config);
}

TEST_CASE("bearer_file: read like a password, never printed, and another token is a change") {
    const Scratch scratch;
    const std::string token = scratch.write("token", "s3cret-token\n");
    const std::string text = head + neighbors + checks + services +
                             "webhooks:\n  chat: {url: \"http://192.0.2.7/\", on: [alarm], "
                             "bearer_file: token}\n";
    const std::string file = scratch.write("swerve.yaml", text);
    REQUIRE(::chmod(token.c_str(), 0640) == 0);
    const auto before = load(file);
    REQUIRE(before);
    CHECK((*before)->webhooks[0].bearer == "s3cret-token");
    CHECK((*before)->webhooks[0].bearer_file == token);
    CHECK(print(**before).find("s3cret") == std::string::npos);
    scratch.write("token", "another");
    const auto after = load(file);
    REQUIRE(after);
    const auto change = compare(*before, *after);
    REQUIRE(change);
    CHECK((*change)->keys ==
          std::vector<ChangedKey>{{"webhooks.chat.bearer_file", "a token", "another token"}});
    REQUIRE(::chmod(token.c_str(), 0644) == 0);
    const auto open = load(file);
    REQUIRE_FALSE(open);
    CHECK(open.error().at(0).message.find("open to others") != std::string::npos);
}

TEST_CASE("url_file: a URL that is a secret is shown nowhere, and another one is a change") {
    const Scratch scratch;
    const std::string hook = scratch.write("hook", "https://ops.example/s3cret\n");
    const std::string text =
        head + neighbors + checks + services + "webhooks:\n  chat: {url_file: hook, on: [alarm]}\n";
    const std::string file = scratch.write("swerve.yaml", text);
    REQUIRE(::chmod(hook.c_str(), 0640) == 0);
    const auto before = load(file);
    REQUIRE(before);
    CHECK((*before)->webhooks[0].url == "https://ops.example/s3cret");
    CHECK(print(**before).find("s3cret") == std::string::npos);
    CHECK(config_of(print(**before)) == **before);
    scratch.write("hook", "https://ops.example/0ther");
    const auto after = load(file);
    REQUIRE(after);
    const auto change = compare(*before, *after);
    REQUIRE(change);
    CHECK((*change)->keys ==
          std::vector<ChangedKey>{{"webhooks.chat.url_file", "a URL", "another URL"}});
    scratch.write("hook", "s3cret://ops.example/");
    const auto wrong = load(file);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().at(0).message ==
          "what '" + hook + "' holds is neither http:// nor https://");
}

std::string changes(const std::string& before, const std::string& after) {
    const auto change = compare(std::make_shared<const Config>(config_of(before)),
                                std::make_shared<const Config>(config_of(after)));
    REQUIRE(change);
    std::string out;
    for (const ChangedKey& key : (*change)->keys) {
        out += key.path + " " + key.before + " > " + key.after + "\n";
    }
    return out;
}

TEST_CASE("compare: every key of a service and a check is told when it changes") {
    const auto with = [](const std::string& check_keys, const std::string& service_keys) {
        return head + neighbors +
               "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok}" + check_keys +
               "}\nservices:\n  p: {prefixes: [198.51.100.0/24], healthy_when: web" + service_keys +
               "}\n";
    };
    CHECK(changes(with("", ""), with(", effect: degrade", "")) ==
          "checks.web.effect withdraw > degrade\n");
    CHECK(changes(with("", ""), with(", on_unknown: hold, unknown_hold: 1s", "")) ==
          "checks.web.on_unknown fail > hold\nchecks.web.unknown_hold 30s > 1s\n");
    CHECK(changes(with("", ""), with("", ", degraded_when: {not: web}, rto: 20s")) ==
          "services.p.degraded_when  > {not: web}\nservices.p.rto  > 20s\n");
    CHECK(changes(with("", ""), with("", ", degrade: {prepend: 3}")) ==
          "services.p.degrade.prepend 2 > 3\n");
    CHECK(changes(with("", ""), "damping: {profile: none}\n" + with("", "")) ==
          "services.p.damping.profile cisco > none\n");
    CHECK(changes(with("", ""), with("", ", addresses: {add: [198.51.100.1/32]}")) ==
          "services.p.addresses.interface  > lo\nservices.p.addresses.add  > [198.51.100.1/32]\n"
          "services.p.addresses.grace  > 1s\n");
}

TEST_CASE("compare: hooks that stand in another order are a change, as all that makes two differ") {
    const auto with = [](const std::string& first, const std::string& second) {
        const std::string rest = ": {run: [/bin/x], on: [alarm]}\n";
        return head + neighbors + checks + services + "hooks:\n  " + first + rest + "  " + second +
               rest;
    };
    CHECK(changes(with("a", "b"), with("b", "a")) == "hooks [a, b] > [b, a]\n");
}

TEST_CASE("templates: what the check says counts, and maps are completed key by key") {
    const Config config = config_of(
        head + neighbors +
        "templates:\n"
        "  api: {interval: 2s, rise: 2, window: {failures: 2}, scope: shared, http: {url: "
        "\"http://198.51.100.1/a\", expect: {status: [204], body: ok}}}\n"
        "  bare: {}\n"
        "checks:\n"
        "  a: {template: api}\n"
        "  b: {template: api, interval: 500ms, window: {of: 4}, http: {url: "
        "\"http://198.51.100.1/b\", expect: {body: yes-b}}}\n"
        "  c: {template: api, tcp: {endpoint: \"198.51.100.1:80\"}}\n"
        "  d: {template: bare, tcp: {endpoint: \"198.51.100.1:81\"}}\n");
    const auto& a = config.checks[0];
    CHECK(a.timing.interval == 2s);
    CHECK(a.timing.rise == 2);
    CHECK(a.effect == Effect::gate);
    CHECK(health::get<std::string>(a.probe.fields, "url")->ends_with("/a"));
    const auto& b = config.checks[1];
    CHECK(b.timing.interval == 500ms);
    CHECK(b.timing.fast_interval == 200ms);
    CHECK(b.timing.window_failures == 2);
    CHECK(b.timing.window_of == 4);
    CHECK(health::get<std::string>(b.probe.fields, "url")->ends_with("/b"));
    const auto* expect = health::get<health::FieldMap>(b.probe.fields, "expect");
    REQUIRE(expect != nullptr);
    CHECK(*health::get<std::string>(*expect, "body") == "yes-b");
    CHECK(*health::get<std::vector<std::int64_t>>(*expect, "status") ==
          std::vector<std::int64_t>{204});
    CHECK(config.checks[2].probe.type == "tcp");
    CHECK(config.checks[2].timing.interval == 2s);
    CHECK(config.checks[3].timing == health::TrackerPolicy{});
    const std::string page = print(config);
    CHECK(page.find("template") == std::string::npos);
    CHECK(config_of(page) == config);
}

}  // namespace
}  // namespace swerve::conf
