/*
 * wire/pattern.h - patterns to routes, exactly as NestJS 11 and 12 normalise them.
 *
 * Pattern: what a user writes or a peer sends: text, a number or a nested object.
 * Route: the text it becomes; two patterns are the same handler when their routes are equal.
 * An object's route is {"key":value,...} with keys in ICU's root collation order (ASCII and
 * Latin-1 by a generated table, code point order beyond), text quoted with \ and " escaped and
 * nothing else, arrays as objects with index keys; deeper than 5 below the top is
 * [MAX_DEPTH_REACHED], more than 20 keys is [TOO_MANY_KEYS]. No I/O; any thread.
 */
#ifndef ROOST_WIRE_PATTERN_H
#define ROOST_WIRE_PATTERN_H

#include "core/buffer.h"

/* How a server looks up what came in: json is the pattern's JSON text; a text pattern is tried as
 * JSON once more, as Nest does. Returns 1 and appends the route; 0 where no handler can ever match
 * (true, false, null); EPROTO where json is not JSON; ENOMEM. */
int roost_pattern_resolve(roost_buffer *route, roost_slice json);

/* How a handler's pattern or a client's event is normalised: text stays as it is. Returns as
 * resolve, and EINVAL with a fixed text in *why where the pattern is nested too deep or has too
 * many keys, so that it would collide with others. */
int roost_pattern_normalise(roost_buffer *route, roost_slice json, const char **why);

/* Whether text registered as a pattern can be reached by a peer over TCP: not where parsing it as
 * JSON gives something else ("true", "1.0"). */
bool roost_pattern_reachable(roost_slice route);

/* NATS rules: tokens between dots, * is one token, > the rest (one or more) and only last. */
bool roost_pattern_is_wildcard(roost_slice route);
bool roost_pattern_matches(roost_slice wildcard, roost_slice route);

#endif
