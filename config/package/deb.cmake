# The Debian packages, by CPack: roost (the program and its unit), libroost0, libroost-dev. What a
# package has besides files is made here: changelog, copyright, conffiles, scripts.

set(ROOST_PACKAGE_RELEASE 1 CACHE STRING "Number of the packages of one version")
set(full_version ${PROJECT_VERSION}-${ROOST_PACKAGE_RELEASE})
set(made ${PROJECT_BINARY_DIR}/package)
set(soname libroost${PROJECT_VERSION_MAJOR})
set(maintainer "Roost maintainers <maintainers@roost.example.net>")

# What comes with the program. Paths below /etc and systemd's are the same whatever the prefix.
install(FILES ${package}/roost.service ${package}/roost.socket DESTINATION /lib/systemd/system
        COMPONENT runtime)
install(FILES ${package}/host.lua DESTINATION /etc/roost COMPONENT runtime)
install(FILES ${package}/hello.lua DESTINATION /etc/roost/services COMPONENT runtime)
install(FILES ${package}/completion/roost.bash RENAME roost
        DESTINATION share/bash-completion/completions COMPONENT runtime)
install(FILES ${package}/completion/_roost DESTINATION share/zsh/vendor-completions
        COMPONENT runtime)
install(FILES ${package}/completion/roost.fish DESTINATION share/fish/vendor_completions.d
        COMPONENT runtime)
install(FILES README.md DESTINATION share/doc/roost COMPONENT runtime)
install(FILES config/host.lua DESTINATION share/doc/roost/examples COMPONENT runtime)
install(DIRECTORY services DESTINATION share/doc/roost/examples COMPONENT runtime)
install(DIRECTORY tests/embed/examples/ DESTINATION share/doc/libroost-dev/examples
        COMPONENT development
        FILES_MATCHING PATTERN "*.c" PATTERN "*.cpp" PATTERN "*.lua")

# compressed(FROM NAME): as policy wants texts, the same bytes each time; made/NAME.gz.
find_program(GZIP gzip REQUIRED)
file(MAKE_DIRECTORY ${made})
function(compressed from name)
  execute_process(COMMAND ${GZIP} -9nc ${from} OUTPUT_FILE ${made}/${name}.gz
                  WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
compressed(${package}/roost.1 roost.1)
compressed(${package}/roost-host.lua.5 roost-host.lua.5)
compressed(${package}/libroost.3 libroost.3)
install(FILES ${made}/roost.1.gz DESTINATION share/man/man1 COMPONENT runtime)
install(FILES ${made}/roost-host.lua.5.gz DESTINATION share/man/man5 COMPONENT runtime)
install(FILES ${made}/libroost.3.gz DESTINATION share/man/man3 COMPONENT development)

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${made}/changelog "roost (${full_version}) unstable; urgency=medium

  * What is new stands in upstream's CHANGELOG.md.

 -- ${maintainer}  ${date}
")
compressed(${made}/changelog changelog)
compressed(CHANGELOG.md upstream)
file(READ LICENSE license)
string(REGEX REPLACE "^MIT License\n\n" "" license "${license}")
string(REGEX MATCH "Copyright[^\n]*" holder "${license}")
string(REGEX REPLACE "Copyright[^\n]*\n\n" "" license "${license}")
string(REGEX REPLACE "\n\n" "\n.\n" license "${license}")
string(STRIP "${license}" license)
string(REGEX REPLACE "\n" "\n " license "${license}")
string(REGEX REPLACE "Copyright \\(c\\) " "" holder "${holder}")
file(WRITE ${made}/copyright
     "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: roost

Files: *
Copyright: ${holder}
License: Expat

License: Expat
 ${license}
")
foreach(pair "runtime;roost" "library;${soname}" "development;libroost-dev")
  list(GET pair 0 component)
  list(GET pair 1 name)
  install(FILES ${made}/copyright DESTINATION share/doc/${name} COMPONENT ${component})
  install(FILES ${made}/changelog.gz RENAME changelog.Debian.gz DESTINATION share/doc/${name}
          COMPONENT ${component})
  install(FILES ${made}/upstream.gz RENAME changelog.gz DESTINATION share/doc/${name}
          COMPONENT ${component})
endforeach()

# Scripts. The unit is not enabled or started: whoever installs it has no services yet.
file(WRITE ${made}/runtime/conffiles "/etc/roost/host.lua\n/etc/roost/services/hello.lua\n")
foreach(script postinst prerm postrm)
  configure_file(${package}/${script} ${made}/runtime/${script} COPYONLY)
endforeach()
file(WRITE ${made}/library/triggers "activate-noawait ldconfig\n")
file(WRITE ${made}/library/shlibs
     "libroost ${PROJECT_VERSION_MAJOR} ${soname} (>= ${PROJECT_VERSION})\n")
file(CHMOD ${made}/runtime/postinst ${made}/runtime/prerm ${made}/runtime/postrm
     PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
                 WORLD_EXECUTE)
file(CHMOD ${made}/runtime/conffiles ${made}/library/triggers ${made}/library/shlibs
     PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME roost)
set(CPACK_PACKAGE_CONTACT "${maintainer}")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
    GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${ROOST_PACKAGE_RELEASE})
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SOURCE roost)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME roost)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION net)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${made}/runtime/conffiles
    ${made}/runtime/postinst ${made}/runtime/prerm ${made}/runtime/postrm)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION
"A C host with an event loop, limits and hot reload, whose services are
written in Lua 5.4. On the wire it is a NestJS microservice, as a server
and as a client, over TCP and message brokers.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME ${soname})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${made}/library/triggers ${made}/library/shlibs)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION
"A service host as a library: for a game server's tick, or an appliance. It
owns no thread but its own, takes the embedder's allocator, and has bounds
for its memory, its connections and the time of a turn.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libroost-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${soname} (= ${full_version})")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
"The header, the static library, and what pkg-config and CMake want to
know, of libroost, a service host as a library.")

include(CPack)
