# What `cmake --install` and the packages bring. Components: runtime (the program), library (the
# shared library), development (what programs are built with).

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package ${CMAKE_CURRENT_LIST_DIR})

install(TARGETS roost_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
install(TARGETS roost_shared EXPORT roost
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                COMPONENT library NAMELINK_COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS roost_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES host/roost.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

# pkg-config. What the static library needs besides are all the packages it was built with; named as
# libraries, so that whoever links the shared one needs nothing of theirs.
get_target_property(links roost_build INTERFACE_LINK_LIBRARIES)
set(private_libraries "")
foreach(link ${links})
  if(link MATCHES "^PkgConfig::(.*)$")
    foreach(library ${${CMAKE_MATCH_1}_LIBRARIES})
      string(APPEND private_libraries "-l${library} ")
    endforeach()
  endif()
endforeach()
string(APPEND private_libraries "-pthread -lm")
# Its prefix is known when it is installed: cmake --install --prefix may say another.
foreach(name PROJECT_DESCRIPTION PROJECT_VERSION private_libraries CMAKE_INSTALL_LIBDIR
        CMAKE_INSTALL_INCLUDEDIR)
  install(CODE "set(${name} \"${${name}}\")" COMPONENT development)
endforeach()
install(CODE "configure_file(\"${package}/roost.pc.in\" \"${PROJECT_BINARY_DIR}/roost.pc\" @ONLY)"
        COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/roost.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT development)

# find_package(roost): the target roost::roost.
set(cmake_folder ${CMAKE_INSTALL_LIBDIR}/cmake/roost)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/roost-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(EXPORT roost NAMESPACE roost:: FILE roost-config.cmake DESTINATION ${cmake_folder}
        COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/roost-config-version.cmake DESTINATION ${cmake_folder}
        COMPONENT development)
