#include "transport/redis_codec.h"

#include "alloc_probe.h"
#include "core/slice.h"

#define MOST 1000

typedef struct codec_test {
  roost_redis_reader *reader;
  roost_redis_reply reply;
  const char *why;
} codec_test;

static int setup(void **state) {
  codec_test *self = calloc(1, sizeof *self);
  assert_non_null(self);
  assert_int_equal(roost_redis_reader_new(&self->reader, roost_alloc_default(), MOST), 0);
  *state = self;
  return 0;
}

static int teardown(void **state) {
  codec_test *self = *state;
  roost_redis_reader_free(self->reader);
  free(self);
  return 0;
}

static void feed(codec_test *self, const char *text) {
  assert_int_equal(roost_redis_feed(self->reader, roost_slice_text(text)), 0);
}

static int next(codec_test *self) {
  return roost_redis_next(self->reader, &self->reply, &self->why);
}

/* One whole reply, and nothing after it. */
static void read_one(codec_test *self, const char *text) {
  feed(self, text);
  assert_int_equal(next(self), 1);
}

static void assert_item(const codec_test *self, size_t at, roost_redis_kind kind,
                        const char *text) {
  const roost_redis_item *item = &self->reply.items[at];
  assert_int_equal(item->kind, kind);
  if (!roost_redis_is(item, text))
    assert_string_equal(item->text.ptr, text);
}

static void test_replies_that_are_no_arrays(void **state) {
  codec_test *self = *state;
  read_one(self, "+OK\r\n");
  assert_false(self->reply.is_array);
  assert_int_equal(self->reply.count, 1);
  assert_item(self, 0, ROOST_REDIS_STATUS, "OK");
  read_one(self, "-NOAUTH Authentication required.\r\n");
  assert_item(self, 0, ROOST_REDIS_ERROR, "NOAUTH Authentication required.");
  read_one(self, ":-42\r\n");
  assert_item(self, 0, ROOST_REDIS_INTEGER, "");
  assert_int_equal(self->reply.items[0].integer, -42);
  read_one(self, "$5\r\na\r\nbc\r\n");
  assert_item(self, 0, ROOST_REDIS_STRING, "a\r\nbc");
  read_one(self, "$-1\r\n");
  assert_item(self, 0, ROOST_REDIS_NIL, "");
  assert_int_equal(next(self), 0);
}

static void test_arrays(void **state) {
  codec_test *self = *state;
  read_one(self, "*4\r\n$8\r\npmessage\r\n$3\r\na.*\r\n$3\r\na.b\r\n$2\r\n{}\r\n");
  assert_true(self->reply.is_array);
  assert_int_equal(self->reply.count, 4);
  assert_item(self, 0, ROOST_REDIS_STRING, "pmessage");
  assert_item(self, 1, ROOST_REDIS_STRING, "a.*");
  assert_item(self, 2, ROOST_REDIS_STRING, "a.b");
  assert_item(self, 3, ROOST_REDIS_STRING, "{}");
  read_one(self, "*3\r\n$9\r\nsubscribe\r\n$-1\r\n:7\r\n");
  assert_item(self, 1, ROOST_REDIS_NIL, "");
  assert_int_equal(self->reply.items[2].integer, 7);
  read_one(self, "*0\r\n");
  assert_true(self->reply.is_array);
  assert_int_equal(self->reply.count, 0);
  read_one(self, "*-1\r\n");
  assert_int_equal(self->reply.count, 1);
}

/* What nothing that is asked for answers with does no harm. */
static void test_more_than_is_kept(void **state) {
  codec_test *self = *state;
  read_one(self,
           "*6\r\n:0\r\n*2\r\n$1\r\nx\r\n*1\r\n:1\r\n+b\r\n:3\r\n$4\r\nfour\r\n$4\r\nfive\r\n");
  assert_int_equal(self->reply.count, 6);
  assert_item(self, 1, ROOST_REDIS_ARRAY, "");
  assert_item(self, 2, ROOST_REDIS_STATUS, "b");
  assert_int_equal(self->reply.items[3].integer, 3);
}

static void test_byte_by_byte(void **state) {
  codec_test *self = *state;
  const char text[] = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\n\0\r\n\377\r\n+OK\r\n";
  size_t whole = 0;
  for (size_t i = 0; i + 1 < sizeof text; i++) {
    assert_int_equal(roost_redis_feed(self->reader, roost_slice_of(text + i, 1)), 0);
    const int status = next(self);
    if (status == 0)
      continue;
    assert_int_equal(status, 1);
    if (whole++ == 0) {
      assert_int_equal(self->reply.count, 3);
      assert_item(self, 1, ROOST_REDIS_STRING, "c");
      assert_int_equal(self->reply.items[2].text.len, 4);
      assert_memory_equal(self->reply.items[2].text.ptr, "\0\r\n\377", 4);
    } else {
      assert_item(self, 0, ROOST_REDIS_STATUS, "OK");
    }
  }
  assert_int_equal(whole, 2);
}

static void test_several_at_once(void **state) {
  codec_test *self = *state;
  feed(self, ":1\r\n:2\r\n:3\r\n:");
  for (int i = 1; i <= 3; i++) {
    assert_int_equal(next(self), 1);
    assert_int_equal(self->reply.items[0].integer, i);
  }
  assert_int_equal(next(self), 0);
  feed(self, "4\r\n");
  assert_int_equal(next(self), 1);
  assert_int_equal(self->reply.items[0].integer, 4);
}

/* A reader that has met one is of no use any more, and says so again and again. */
static void test_what_is_broken(void **state) {
  codec_test *self = *state;
  static const char *const broken[] = {"%1\r\n+a\r\n:1\r\n", ">2\r\n", "_\r\n",  ",1.5\r\n",
                                       "hello\r\n",          ":x\r\n", "$-2\r\n"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    feed(self, broken[i]);
    for (int times = 0; times < 2; times++) {
      assert_int_equal(next(self), ROOST_EPROTO);
      assert_true(self->why[0] != '\0');
      feed(self, "+OK\r\n");
    }
    roost_redis_reader_free(self->reader);
    assert_int_equal(roost_redis_reader_new(&self->reader, roost_alloc_default(), MOST), 0);
  }
}

static void feed_filled(codec_test *self, const char *head, size_t count) {
  feed(self, head);
  for (size_t i = 0; i < count; i++)
    feed(self, "a");
}

static void test_too_large(void **state) {
  codec_test *self = *state;
  feed_filled(self, "$990\r\n", 990);
  feed(self, "\r\n");
  assert_int_equal(next(self), 1);
  assert_int_equal(self->reply.items[0].text.len, 990);
  feed_filled(self, "$5000\r\n", 1050);
  assert_int_equal(next(self), ROOST_EPROTO);
  assert_string_equal(self->why, "a reply is larger than max_buffer_size");
}

static void test_commands(void **state) {
  (void)state;
  roost_buffer out;
  roost_buffer_init(&out, roost_alloc_default());
  const roost_slice args[] = {roost_slice_text("PUBLISH"), roost_slice_text(""),
                              roost_slice_of("\0\r\n", 3)};
  assert_int_equal(roost_redis_command(&out, args, 1), 0);
  assert_int_equal(roost_redis_command(&out, args, 3), 0);
  static const char expected[] = "*1\r\n$7\r\nPUBLISH\r\n"
                                 "*3\r\n$7\r\nPUBLISH\r\n$0\r\n\r\n$3\r\n\0\r\n\r\n";
  assert_int_equal(out.len, sizeof expected - 1);
  assert_memory_equal(out.ptr, expected, out.len);
  roost_buffer_deinit(&out);
}

static void test_memory_that_is_short(void **state) {
  (void)state;
  for (size_t after = 0; after < 3; after++) {
    roost_alloc_probe probe;
    roost_redis_reader *reader;
    roost_redis_reply reply;
    const char *why = "";
    roost_alloc_probe_init(&probe);
    probe.refuse_after = after;
    int status = roost_redis_reader_new(&reader, &probe.alloc, 0);
    if (status == 0) {
      assert_int_equal(roost_redis_feed(reader, roost_slice_text("$3\r\nabc\r\n")), 0);
      status = roost_redis_next(reader, &reply, &why);
    }
    assert_int_equal(status, after < 2 ? ROOST_ENOMEM : 1);
    if (after == 1)
      assert_string_equal(why, "out of memory");
    roost_redis_reader_free(reader);
    assert_int_equal(probe.bytes, 0);
  }
}

static void test_a_command_without_memory_leaves_the_buffer(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_buffer out;
  roost_alloc_probe_init(&probe);
  roost_buffer_init(&out, &probe.alloc);
  assert_int_equal(roost_buffer_append(&out, "abc", 3), 0);
  probe.refuse_after = 0;
  char large[500];
  memset(large, 'a', sizeof large);
  const roost_slice args[] = {roost_slice_text("PING"), {large, sizeof large}};
  assert_int_equal(roost_redis_command(&out, args, 2), ROOST_ENOMEM);
  assert_int_equal(out.len, 3);
  roost_buffer_deinit(&out);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_replies_that_are_no_arrays, setup, teardown),
      cmocka_unit_test_setup_teardown(test_arrays, setup, teardown),
      cmocka_unit_test_setup_teardown(test_more_than_is_kept, setup, teardown),
      cmocka_unit_test_setup_teardown(test_byte_by_byte, setup, teardown),
      cmocka_unit_test_setup_teardown(test_several_at_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_what_is_broken, setup, teardown),
      cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
      cmocka_unit_test(test_commands),
      cmocka_unit_test(test_memory_that_is_short),
      cmocka_unit_test(test_a_command_without_memory_leaves_the_buffer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
