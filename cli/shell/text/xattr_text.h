// XattrText: values of extended attributes as getfattr(1) prints them and setfattr(1) takes them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shell {

// How a value is written: "text" in quotes with \" \\ \ooo, 0x68 hexadecimal, 0saGk= base64; kAuto:
// text if most of it can be printed, else base64.
enum class XattrEncoding { kAuto, kText, kHex, kBase64 };

std::string encode_value(std::string_view value, XattrEncoding encoding);

// What encode_value() made, or the text itself if it is neither quoted nor begins with 0x or 0s. No
// value: digits that are none.
std::optional<std::string> decode_value(std::string_view text);

}  // namespace shell
