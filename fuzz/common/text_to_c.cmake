# SPDX-License-Identifier: MIT
#
# Turns the text file IN into OUT, the lines of a C string literal.
file(READ ${IN} text)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\",\n\"" text "${text}")
file(WRITE ${OUT} "/* made from to_c_runtime.h: one string a line, then NULL */\n\"${text}\",\nNULL\n")
