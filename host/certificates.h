/*
 * certificates.h - the TLS contexts of a configuration's servers.
 *
 * Any thread; what is made is released by its owner with roost_certificates_free.
 */
#ifndef ROOST_CERTIFICATES_H
#define ROOST_CERTIFICATES_H

#include "config/problems.h"
#include "config/settings.h"

/* One for each server, in their order, NULL for those without TLS. What is wrong, with every server
 * and every client, goes into problems; a certificate that has expired with the severity dated.
 * ECONFIG, ENOMEM. */
int roost_certificates_load(roost_tls_context ***out, const roost_alloc *alloc,
                            const roost_settings *settings, roost_severity dated,
                            roost_problems *problems);

/* NULL is allowed. */
void roost_certificates_free(const roost_alloc *alloc, roost_tls_context **contexts,
                             const roost_settings *settings);

#endif
