# Tests by glob: a new test file needs no edit here.
#
#   tests/unit/test_*.c, tests/property/test_*.c   one cmocka program each         label unit
#   tests/integration/it_*.c                       real clusters, with ph_test     label integration
#   tests/fuzz/fuzz_*.c                            corpus replay (or libFuzzer)    label fuzz
#
# An it_ file may say more about itself in comment lines of its own:
#   /* labels: short */      further labels; `short` is the set that runs under asan as well
#   /* timeout: 600 */       seconds, instead of 300

set(PH_TEST_ENV "ASAN_OPTIONS=halt_on_error=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

# The word or words behind `/* key: ... */` in a test file; empty when it has no such line.
function(ph_test_marker file key out)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(STRINGS ${file} lines REGEX "^/\\* ${key}: .* \\*/$")
    set(words "")
    if(lines)
        list(GET lines 0 line)
        string(REGEX REPLACE "^/\\* ${key}: (.*) \\*/$" "\\1" words "${line}")
        string(REGEX MATCHALL "[^ ,]+" words "${words}")
    endif()
    set(${out} "${words}" PARENT_SCOPE)
endfunction()

function(ph_unit_tests folder)
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/test_*.c)
    foreach(file ${files})
        get_filename_component(name ${file} NAME_WE)
        if(NOT folder STREQUAL "unit")
            string(REGEX REPLACE "^test_" "${folder}_" name ${name})
        endif()
        add_executable(${name} ${file})
        target_link_libraries(${name} PRIVATE ph_cli PkgConfig::CMOCKA ph_test_warnings)
        target_compile_definitions(${name} PRIVATE PH_TEST_DIR="${PROJECT_SOURCE_DIR}/tests")
        add_test(NAME ${folder}.${name} COMMAND ${name})
        set_tests_properties(${folder}.${name} PROPERTIES
            LABELS unit TIMEOUT 300 ENVIRONMENT "${PH_TEST_ENV}")
    endforeach()
endfunction()

function(ph_integration_tests)
    file(GLOB support CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/*.c)
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/integration/it_*.c)
    if(NOT support)
        return()
    endif()
    add_library(ph_test STATIC ${support})
    target_include_directories(ph_test PUBLIC ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(ph_test PUBLIC PH_TEST_DIR="${PROJECT_SOURCE_DIR}/tests")
    target_link_libraries(ph_test PUBLIC PkgConfig::LIBPQ PkgConfig::CMOCKA ph_options
        PRIVATE ph_test_warnings)
    foreach(file ${files})
        get_filename_component(name ${file} NAME_WE)
        ph_test_marker(${file} labels labels)
        ph_test_marker(${file} timeout timeout)
        if(NOT timeout)
            set(timeout 600)
        endif()
        add_executable(${name} ${file})
        target_link_libraries(${name} PRIVATE ph_test ph_cli ph_test_warnings)
        add_test(NAME integration.${name} COMMAND ${name})
        set_tests_properties(integration.${name} PROPERTIES
            LABELS "integration;${labels}" TIMEOUT ${timeout} COST ${timeout} # long ones first
            ENVIRONMENT "${PH_TEST_ENV};PGHAUL_BIN=${PROJECT_BINARY_DIR}/pghaul"
            SKIP_RETURN_CODE 77)
        if(TARGET pghaul)
            add_dependencies(${name} pghaul)
        endif()
    endforeach()
endfunction()

# fuzz_<codec>.c defines LLVMFuzzerTestOneInput; its corpus is tests/fuzz/corpus/<codec>/.
function(ph_fuzz_tests)
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_*.c)
    foreach(file ${files})
        get_filename_component(name ${file} NAME_WE)
        string(REGEX REPLACE "^fuzz_" "" codec ${name})
        set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${codec})
        if(PH_FUZZ)
            add_executable(${name} ${file})
            target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        else()
            add_executable(${name} ${file} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
            add_test(NAME fuzz.${name} COMMAND ${name} ${corpus})
            set_tests_properties(fuzz.${name} PROPERTIES
                LABELS fuzz TIMEOUT 120 ENVIRONMENT "${PH_TEST_ENV}")
        endif()
        target_link_libraries(${name} PRIVATE ph_job ph_test_warnings)
    endforeach()
endfunction()

# scripts/lint, one test per check but the slow one.
function(ph_lint_tests)
    foreach(check format banned layers headers size cppcheck)
        add_test(NAME lint.${check} COMMAND ${PROJECT_SOURCE_DIR}/scripts/lint ${check})
        set_tests_properties(lint.${check} PROPERTIES LABELS lint TIMEOUT 300)
    endforeach()
endfunction()

function(ph_add_tests)
    ph_fuzz_tests()
    if(NOT PH_FUZZ)
        pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
        ph_unit_tests(unit)
        ph_unit_tests(property)
        ph_integration_tests()
    endif()
    if(PH_LINT)
        ph_lint_tests()
    endif()
endfunction()
