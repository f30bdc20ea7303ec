/*
 * rounds.h - reloads of a host with several workers: the first leads, all follow, and meet.
 *
 * Start reading at begin and conclude; what each worker does is service/reload.h's. A part's job
 * goes to its worker and back: told to begin, it comes back with the report; told to meet, or that
 * the round is refused, it comes back when that is over. The round is freed when all are back.
 * Look: at whether the workers that have not reported still take turns, every reload.start_timeout.
 * One that has not since the last look is stuck, and the round is given up: refused without it, and
 * freed when it is back after all. Until then further rounds are refused before they begin.
 * Owned by the host; the first worker's thread but where the comment says another.
 */
#ifndef ROOST_ROUNDS_H
#define ROOST_ROUNDS_H

#include "workers.h"

typedef struct roost_rounds roost_rounds;

/* Has the workers, which are all there already, reload together; nothing where there is only one.
 * ENOMEM. */
int roost_rounds_new(roost_rounds **out, roost_workers *workers, const roost_alloc *alloc);

/* The workers must be gone. NULL is allowed. */
void roost_rounds_free(roost_rounds *rounds);

#endif
