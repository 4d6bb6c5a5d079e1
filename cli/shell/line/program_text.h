// Program text: how far the text for a local sh reaches in a line of ours.
#pragma once

#include <cstddef>
#include <string_view>

namespace shell {

// The length of the part of `text`, which follows a '|', that is the local shell's: up to a ';',
// &&, || or newline that stands outside of its quotes, parentheses and remarks.
size_t program_text_length(std::string_view text);

}  // namespace shell
