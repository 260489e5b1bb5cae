# A file as a C array: cmake -DINPUT=… -DOUTPUT=… -DNAME=… -DHEADER=… -P embed.cmake
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(................................................................................)"
    "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"${HEADER}\"\n\nconst unsigned char ${NAME}[] = {\n${bytes}\n};\n"
    "const size_t ${NAME}_len = sizeof ${NAME};\n")
