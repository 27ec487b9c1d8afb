# What `cmake --install` brings: the programs, their manual pages, the systemd unit with its user, and examples.

include(GNUInstallDirs)

install(TARGETS swerved swervectl)
# Where the daemon looks for it, from its own directory.
install(TARGETS swerve_postgres DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/swerve)

# Made when it is installed: only then is it known for sure to where.
install(CODE "
  set(SWERVE_BINDIR \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR})
  configure_file(${PROJECT_SOURCE_DIR}/conf/swerved.service.in ${PROJECT_BINARY_DIR}/swerved.service @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/swerved.service DESTINATION lib/systemd/system)
install(FILES conf/swerve.sysusers DESTINATION lib/sysusers.d RENAME swerve.conf)

install(DIRECTORY conf/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md" PATTERN man EXCLUDE)

find_program(SCDOC scdoc)
if(NOT SCDOC)
  message(STATUS "scdoc is missing: no manual pages are installed")
  return()
endif()
foreach(page swerved.8 swervectl.1 swerve.yaml.5)
  set(source ${PROJECT_SOURCE_DIR}/docs/man/${page}.scd)
  add_custom_command(OUTPUT ${page} COMMAND ${SCDOC} < ${source} > ${page} DEPENDS ${source} VERBATIM)
  list(APPEND pages ${PROJECT_BINARY_DIR}/${page})
  string(REGEX MATCH "[0-9]$" section ${page})
  install(FILES ${PROJECT_BINARY_DIR}/${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
add_custom_target(man ALL DEPENDS ${pages})
