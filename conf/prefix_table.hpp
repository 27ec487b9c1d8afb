#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/faults.hpp"
#include "conf/reader.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::conf {

/// The prefixes of all services with their places, while they are read: millions of them, so a
/// place is a few octets and text is made only for what is reported.
class PrefixTable {
public:
    /// `directory`: where relative paths start.
    PrefixTable(Faults& faults, std::string directory)
        : faults_(&faults), directory_(std::move(directory)) {}

    /// Reads `prefixes` or `prefixes_file` of the next service; the path of the file, if it is one,
    /// made absolute.
    std::string read(const Section& service);

    /// Reports what lies outside `owned` (unless that is empty) and what occurs twice, then hands
    /// each service its blocks.
    void settle(std::vector<Prefix> owned, std::vector<Service>& services);

private:
    /// Where the prefixes of one service stand.
    struct Source {
        std::string path;      ///< of the key
        Place place;           ///< of its value
        const YamlNode* list;  ///< null for a file
        std::string file;
    };
    struct Listed {
        Prefix prefix;
        std::uint16_t column;  ///< of a file; where the text begins
        std::uint32_t source;
        std::uint32_t position;  ///< index in the list, or line in the file
    };
    struct Finding {
        std::uint32_t listed;
        std::uint32_t first;  ///< what it repeats; itself: outside `owned`
    };

    void read_list(const Section& service);
    void read_file(const Section& service, const std::string& given);
    void read_lines(std::string_view text);
    /// To the source that is read; too many are a fault, and end the reading.
    void add(const Prefix& prefix, std::uint32_t position, std::size_t column);
    void hand_out(std::vector<Service>& services);
    void report(const std::vector<Finding>& findings);
    [[nodiscard]] std::string whereabouts(const Listed& listed) const;
    void fault(const Listed& listed, std::string message, std::string hint = {});

    Faults* faults_;
    std::string directory_;
    std::vector<Source> sources_;  ///< one per service
    std::vector<Listed> listed_;
    bool full_ = false;
};

}  // namespace swerve::conf
