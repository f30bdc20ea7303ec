/*
 * watching.h - the part of file watching that lives on the control thread: folders and the quiet
 * time.
 *
 * An editor that saves makes several changes, and several files are often saved together: what is
 * told is that there were some and that it has been quiet since. Owned by the host.
 */
#ifndef ROOST_WATCHING_H
#define ROOST_WATCHING_H

#include "control.h"

typedef struct roost_watching roost_watching;

/* fn is called on the control thread, quiet_ms after a change. ENOMEM. Any thread but control's. */
int roost_watching_start(roost_watching **out, const roost_alloc *alloc, roost_control *control,
                         roost_log *log, uint64_t quiet_ms, void (*fn)(void *ud), void *ud);

/* Other folders: each text in folders ends with a NUL, one after the other; taken over, and empty
 * afterwards. fn is told where some are new, for what changed before they were watched. ENOMEM. Any
 * thread. */
int roost_watching_set(roost_watching *self, roost_buffer *folders);

/* fn is not called any more. NULL is allowed. Any thread but control's. */
void roost_watching_stop(roost_watching *self);

#endif
