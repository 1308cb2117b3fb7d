# SPDX-License-Identifier: MIT
#
# Turns the text file IN into OUT, its lines as C string literals with a comma behind each.
file(READ ${IN} text)
string(REPLACE "\\" "\\\\" text "${text}")
string(REPLACE "\"" "\\\"" text "${text}")
string(REPLACE "\n" "\\n\",\n\"" text "${text}")
file(WRITE ${OUT} "/* one string a line */\n\"${text}\",\n")
