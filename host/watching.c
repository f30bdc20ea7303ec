#include "watching.h"

#include <string.h>

#include "net/watch.h"

#define MOST_QUIET_TIMES 20   /* as long as that at most, where it is never quiet */
#define LOOK_MS          2000 /* between looks, where folders cannot be watched */

struct roost_watching {
  const roost_alloc *alloc; /* borrowed */
  roost_control *control;   /* borrowed */
  roost_log *log;           /* borrowed */
  roost_watch *watch;       /* NULL: it could not be made */
  roost_timer timer;        /* of the quiet time; or of looks */
  uint64_t quiet_ms;
  uint64_t first_ms; /* of the changes that were not told yet */
  bool is_pending;   /* there are some */
  bool is_blind;     /* some folder cannot be watched: look now and then */
  void (*fn)(void *ud);
  void *ud; /* handed to fn */
};

/* Folders on their way to the control thread. */
typedef struct order {
  roost_watching *watching;
  roost_buffer folders;
} order;

static void arm(roost_watching *self, uint64_t ms) {
  roost_timer_start(roost_loop_wheel(roost_control_loop(self->control)), &self->timer, ms);
}

static void on_change(void *ud) {
  roost_watching *self = ud;
  const uint64_t now_ms = roost_loop_now_ms(roost_control_loop(self->control));
  if (!self->is_pending)
    self->first_ms = now_ms;
  self->is_pending = true;
  if (now_ms - self->first_ms <= self->quiet_ms * MOST_QUIET_TIMES)
    arm(self, self->quiet_ms);
}

static void on_timer(roost_timer *timer) {
  roost_watching *self = ROOST_LIST_ENTRY(timer, roost_watching, timer);
  self->is_pending = false;
  if (self->is_blind)
    arm(self, LOOK_MS);
  self->fn(self->ud);
}

static void go_blind(roost_watching *self) {
  if (!self->is_blind)
    roost_log_say(self->log, ROOST_LOG_WARN,
                  "some folders cannot be watched (fs.inotify.max_user_watches?): their files are "
                  "looked at every 2 s");
  self->is_blind = true;
  if (!self->is_pending)
    arm(self, LOOK_MS);
}

/* The texts of folders as pointers; NULL where memory is short. */
static const char **split(const roost_watching *self, const roost_buffer *folders, size_t *count) {
  *count = 0;
  for (size_t i = 0; i < folders->len; i++)
    *count += folders->ptr[i] == '\0';
  const char **texts = roost_alloc_get(self->alloc, (*count + 1) * sizeof *texts);
  const char *at = folders->ptr;
  for (size_t i = 0; texts != NULL && i < *count; i++, at += strlen(at) + 1)
    texts[i] = at;
  return texts;
}

static void take_folders(void *ud) {
  order *own = ud;
  roost_watching *self = own->watching;
  size_t count;
  const char **texts = self->watch != NULL ? split(self, &own->folders, &count) : NULL;
  const int result = texts != NULL ? roost_watch_set(self->watch, texts, count) : ROOST_ENOMEM;
  if (result > 0)
    on_change(self);
  else if (result < 0)
    go_blind(self);
  if (texts != NULL)
    roost_alloc_put(self->alloc, texts, (count + 1) * sizeof *texts);
  roost_buffer_deinit(&own->folders);
  roost_alloc_put(self->alloc, own, sizeof *own);
}

int roost_watching_set(roost_watching *self, roost_buffer *folders) {
  order *own = roost_alloc_get(self->alloc, sizeof *own);
  if (own == NULL)
    return ROOST_ENOMEM;
  own->watching = self;
  own->folders = *folders;
  const int status = roost_control_post(self->control, take_folders, own);
  if (status == 0)
    roost_buffer_init(folders, self->alloc);
  else
    roost_alloc_put(self->alloc, own, sizeof *own);
  return status;
}

static void open_watch(void *ud) {
  roost_watching *self = ud;
  (void)roost_watch_open(&self->watch, roost_control_loop(self->control), on_change, self);
}

static void close_watch(void *ud) {
  roost_watching *self = ud;
  roost_watch_close(self->watch);
  roost_timer_stop(roost_loop_wheel(roost_control_loop(self->control)), &self->timer);
}

int roost_watching_start(roost_watching **out, const roost_alloc *alloc, roost_control *control,
                         roost_log *log, uint64_t quiet_ms, void (*fn)(void *ud), void *ud) {
  roost_watching *self = roost_alloc_get(alloc, sizeof *self);
  *out = self;
  if (self == NULL)
    return ROOST_ENOMEM;
  *self = (roost_watching){.alloc = alloc, .control = control, .log = log};
  self->quiet_ms = quiet_ms;
  self->fn = fn;
  self->ud = ud;
  roost_timer_init(&self->timer, on_timer);
  roost_control_call(control, open_watch, self);
  return 0;
}

void roost_watching_stop(roost_watching *self) {
  if (self == NULL)
    return;
  roost_control_call(self->control, close_watch, self);
  roost_alloc_put(self->alloc, self, sizeof *self);
}
