# The warnings, the same for every target; tests do without those that cmocka's macros, exec and a
# test's many locals cannot satisfy.
set(ph_warnings_all
    -Wall -Wextra -Wshadow -Wformat=2 -Wvla -Wmissing-prototypes -Wstrict-prototypes -Wundef
    -Wpointer-arith -Wwrite-strings -Wnull-dereference -Wswitch-enum
    $<$<C_COMPILER_ID:GNU>:-Wduplicated-cond -Wduplicated-branches -Wlogical-op
        -Wformat-signedness -Wimplicit-fallthrough=5>)
set(ph_warnings_source
    -Wconversion -Wsign-conversion -Wcast-qual
    $<$<C_COMPILER_ID:Clang>:-Wmissing-variable-declarations -Wcomma -Wassign-enum>)
# ASan's redzones make every frame larger than it is.
if(NOT PH_SANITIZE)
    list(APPEND ph_warnings_source -Wframe-larger-than=16384)
endif()
if(PH_WERROR)
    list(APPEND ph_warnings_all -Werror)
endif()

add_library(ph_warnings INTERFACE)
target_compile_options(ph_warnings INTERFACE ${ph_warnings_all} ${ph_warnings_source})
add_library(ph_test_warnings INTERFACE)
target_compile_options(ph_test_warnings INTERFACE ${ph_warnings_all})
