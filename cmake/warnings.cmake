# The warnings, the same for every target; tests do without the conversion family, which cmocka's
# macros cannot satisfy.
add_library(ph_warnings INTERFACE)
target_compile_options(ph_warnings INTERFACE
    -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wcast-qual -Wformat=2 -Wvla
    -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wpointer-arith -Wwrite-strings
    -Wnull-dereference -Wswitch-enum -Wframe-larger-than=16384
    $<$<C_COMPILER_ID:GNU>:-Wduplicated-cond -Wduplicated-branches -Wlogical-op
        -Wformat-signedness -Wimplicit-fallthrough=5>
    $<$<C_COMPILER_ID:Clang>:-Wmissing-variable-declarations -Wcomma -Wassign-enum>)
if(PH_WERROR)
    target_compile_options(ph_warnings INTERFACE -Werror)
endif()
# ASan's redzones make every frame larger than it is.
if(PH_SANITIZE)
    target_compile_options(ph_warnings INTERFACE -Wno-frame-larger-than)
endif()

add_library(ph_test_warnings INTERFACE)
target_link_libraries(ph_test_warnings INTERFACE ph_warnings)
target_compile_options(ph_test_warnings INTERFACE
    -Wno-conversion -Wno-sign-conversion -Wno-cast-qual -Wno-frame-larger-than)
