# The Debian packages, by CPack: roost (the program and its unit), libroost0, libroost-dev. What a
# package has besides files is made here: changelog, copyright, conffiles, scripts.

set(made ${PROJECT_BINARY_DIR}/package)
set(soname libroost${PROJECT_VERSION_MAJOR})
set(maintainer "Roost maintainers <roost@${ROOST_PACKAGE_HOST}>")

# What comes with the program. Paths below /etc and systemd's are the same whatever the prefix.
install(FILES ${package}/roost.service ${package}/roost.socket DESTINATION /usr/lib/systemd/system
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
        COMPONENT development FILES_MATCHING PATTERN "*.c" PATTERN "*.cpp" PATTERN "*.lua")

# compressed(FROM TO): as policy wants texts: the same bytes each time.
find_program(GZIP gzip REQUIRED)
function(compressed from to)
  execute_process(COMMAND ${GZIP} -9nc ${from} OUTPUT_FILE ${to} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
compressed(${package}/roost.1 ${made}/roost.1.gz)
install(FILES ${made}/roost.1.gz DESTINATION share/man/man1 COMPONENT runtime)

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${made}/changelog "roost (${PROJECT_VERSION}) unstable; urgency=medium

  * See CHANGELOG.md of the source.

 -- ${maintainer}  ${date}
")
compressed(${made}/changelog ${made}/changelog.gz)
file(READ LICENSE license)
string(REGEX REPLACE "\n\n" "\n.\n" license "${license}")
string(REGEX REPLACE "\n" "\n " license "${license}")
string(STRIP "${license}" license)
file(WRITE ${made}/copyright "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: roost

Files: *
Copyright: the Roost authors
License: ${ROOST_LICENSE}
 ${license}
")
foreach(pair runtime:roost library:${soname} development:libroost-dev)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 name)
  install(FILES ${made}/copyright ${made}/changelog.gz DESTINATION share/doc/${name}
          COMPONENT ${component})
endforeach()
