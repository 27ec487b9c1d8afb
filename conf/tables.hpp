#pragma once
// Tables of keys, as the pages that are made from the schema show them.

#include <span>
#include <string>
#include <string_view>

#include "conf/schema.hpp"

namespace swerve::conf {

inline constexpr std::string_view table_head =
    "\n| key | value | default | |\n| --- | --- | --- | --- |\n";

/// `parent` may be left out as a whole; empty where there is none.
[[nodiscard]] std::string table_row(const std::string& name, const Key& key,
                                    const std::string& parent);

/// The keys of a probe, with their head; `parent` stands before each.
[[nodiscard]] std::string field_table(std::span<const health::Field> fields,
                                      const std::string& parent);

/// A bar would end the cell of a table.
[[nodiscard]] std::string cell(std::string_view text);

}  // namespace swerve::conf
