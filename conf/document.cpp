#include "conf/document.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <cstdint>
#include <istream>
#include <streambuf>
#include <utility>

#include "swerve/base/escape.hpp"

namespace swerve::conf {

namespace {

/// The deepest thing a configuration needs is an expression within an expression; what is deeper is
/// a mistake or an attack on the stack.
constexpr std::size_t max_depth = 32;
/// yaml-cpp reads a line to its end before it tells what it begins with, at 250 octets of memory
/// for one of the file.
constexpr int max_line_octets = 1 << 20;

Place place_of(const YAML::Mark& mark) {
    // yaml-cpp counts lines and columns from 0.
    return {mark.line + 1, mark.column + 1};
}

struct Unreadable {
    Place place;
    std::string message;
    std::string hint;
};

/// Builds nodes from the events of the parser. The events are used instead of YAML::Node because
/// that drops duplicate keys' places, resolves aliases without a bound and reads 010 as 8.
class Builder final : public YAML::EventHandler {
public:
    explicit Builder(Faults& faults) : faults_(faults) {}

    [[nodiscard]] YamlNode take() { return std::move(root_); }
    [[nodiscard]] Place start() const { return start_; }

    void OnDocumentStart(const YAML::Mark& mark) override { start_ = place_of(mark); }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
        put({.kind = YamlNode::Kind::nothing, .place = place_of(mark)});
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        put({.kind = YamlNode::Kind::alias, .place = place_of(mark)});
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  const std::string& value) override {
        refuse_tag(mark, tag);
        put({.kind = YamlNode::Kind::scalar,
             .quoted = tag == "!",
             .place = place_of(mark),
             .text = value});
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {
        open(mark, tag, YamlNode::Kind::list);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {
        open(mark, tag, YamlNode::Kind::map);
    }
    void OnMapEnd() override { close(); }
    void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
        faults_.add(place_of(mark), {}, "anchor " + quote("&" + name) + " is not supported",
                    "write the value out where it is used");
    }

private:
    struct Open {
        YamlNode node;
        std::optional<YamlNode> key;  ///< of a map: the key whose value comes next
    };

    void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        // yaml-cpp calls plain values "?" and quoted ones "!".
        if (tag.empty() || tag == "?" || tag == "!") return;
        faults_.add(place_of(mark), {}, "tag " + quote(tag) + " is not supported",
                    "remove the tag");
    }

    void open(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind) {
        refuse_tag(mark, tag);
        if (stack_.size() == max_depth) {
            throw Unreadable{place_of(mark),
                             "nested more than " + std::to_string(max_depth) + " levels deep",
                             {}};
        }
        stack_.push_back({{.kind = kind, .place = place_of(mark)}, {}});
    }

    void close() {
        YamlNode done = std::move(stack_.back().node);
        stack_.pop_back();
        put(std::move(done));
    }

    void put(YamlNode node) {
        node.named_at = node.place;
        if (stack_.empty()) {
            root_ = std::move(node);
            return;
        }
        Open& top = stack_.back();
        if (top.node.kind == YamlNode::Kind::list) {
            top.node.items.push_back(std::move(node));
        } else if (top.key) {
            add_entry(top, std::move(*top.key), std::move(node));
            top.key.reset();
        } else {
            top.key = std::move(node);
        }
    }

    void add_entry(Open& map, YamlNode key, YamlNode value) {
        if (key.kind != YamlNode::Kind::scalar) {
            faults_.add(key.place, {},
                        "a key must be plain text, found " + std::string{describe(key.kind)});
            return;
        }
        value.named_at = key.place;
        // Nothing has no place of its own; yaml-cpp gives that of what comes next.
        if (value.kind == YamlNode::Kind::nothing) value.place = key.place;
        map.node.entries.push_back({key.place, std::move(key.text), std::move(value)});
    }

    Faults& faults_;
    std::vector<Open> stack_;
    YamlNode root_;
    Place start_;
};

/// yaml-cpp takes 0x04 for the end of the file and guesses UTF-16 and UTF-32 from zeros, so neither
/// may reach it.
std::optional<Unreadable> find_foreign_octet(std::string_view text) {
    Place place{1, 1};
    for (std::size_t at = 0; at < text.size();) {
        const auto octet = static_cast<std::uint8_t>(text[at]);
        const std::size_t length = detail::utf8_sequence(text.substr(at));
        const bool control =
            (octet < 0x20 && octet != '\t' && octet != '\n' && octet != '\r') || octet == 0x7f;
        if (length == 0) {
            return Unreadable{place, "octet " + quote(text.substr(at, 1)) + " is not UTF-8",
                              "save the file as UTF-8"};
        }
        if (control) {
            return Unreadable{place, "control character " + quote(text.substr(at, 1)), "remove it"};
        }
        if (octet != '\n' && place.column > max_line_octets) {
            return Unreadable{{place.line, 1}, "the line is longer than 1 MiB", "break it"};
        }
        at += length;
        place = octet == '\n' ? Place{place.line + 1, 1}
                              : Place{place.line, place.column + static_cast<int>(length)};
    }
    return std::nullopt;
}

/// Reads a string where it lies; std::istringstream would copy it.
class View final : public std::streambuf {
public:
    explicit View(const std::string& text) {
        // A stream buffer takes char* for both directions; nothing is written through it.
        char* begin =
            const_cast<char*>(text.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
        setg(begin, begin, begin + text.size());
    }
};

/// What stands behind the first document: another one, or what yaml-cpp stumbled over without a
/// word.
void refuse_rest(std::string_view text, Place place, Faults& faults) {
    std::size_t begin = 0;
    for (int line = 1; line < place.line; ++line) begin = text.find('\n', begin) + 1;
    if (text.substr(begin).starts_with("---")) {
        faults.add(place, {}, "a second document starts here",
                   "one file holds one document; remove the '---'");
    } else {
        faults.add(place, {}, "not valid YAML: the document ends before this");
    }
}

std::optional<YamlNode> read_all(const std::string& text, Faults& faults) {
    View view{text};
    std::istream stream{&view};
    YAML::Parser parser{stream};
    Builder first{faults};
    if (!parser.HandleNextDocument(first)) return YamlNode{.place = {1, 1}};
    Builder second{faults};
    if (parser.HandleNextDocument(second)) {
        refuse_rest(text, second.start(), faults);
    }
    return first.take();
}

/// yaml-cpp has many words for a tab in the indentation, none of which names it.
std::string tab_hint(std::string_view text) {
    int line = 1;
    bool is_indentation = true;
    for (const char c : text) {
        if (is_indentation && c == '\t') {
            return "line " + std::to_string(line) + " is indented with a tab; YAML wants spaces";
        }
        if (c == '\n') ++line;
        is_indentation = c == '\n' || (is_indentation && c == ' ');
    }
    return {};
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
    for (const Entry& entry : entries) {
        if (entry.key == key) return &entry.value;
    }
    return nullptr;
}

YamlNode* YamlNode::find(std::string_view key) {
    for (Entry& entry : entries) {
        if (entry.key == key) return &entry.value;
    }
    return nullptr;
}

std::string_view describe(YamlNode::Kind kind) {
    switch (kind) {
        case YamlNode::Kind::nothing:
            return "nothing";
        case YamlNode::Kind::scalar:
            return "a single value";
        case YamlNode::Kind::list:
            return "a list";
        case YamlNode::Kind::map:
            return "a map";
        case YamlNode::Kind::alias:
            break;
    }
    return "an alias";
}

std::optional<YamlNode> parse_document(const std::string& text, Faults& faults) {
    if (const auto foreign = find_foreign_octet(text)) {
        faults.add(foreign->place, {}, foreign->message, foreign->hint);
        return std::nullopt;
    }
    try {
        return read_all(text, faults);
    } catch (const Unreadable& limit) {
        faults.add(limit.place, {}, limit.message, limit.hint);
    } catch (const YAML::Exception& error) {
        const bool placed = !error.mark.is_null();
        faults.add(placed ? place_of(error.mark) : Place{1, 1}, {}, "not valid YAML: " + error.msg,
                   tab_hint(text));
    }
    return std::nullopt;
}

}  // namespace swerve::conf
