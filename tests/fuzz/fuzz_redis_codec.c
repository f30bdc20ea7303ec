/* Replies of Redis: whole and in pieces they are the same. Then the input as a command's argument,
 * which is read back as it was written. The first byte is the size of the pieces. */
#include "fuzz.h"
#include "transport/redis_codec.h"

#define MOST 1000

static void note(roost_buffer *replies, const roost_redis_reply *reply) {
  PROMISE(roost_buffer_printf(replies, "%d %zu", reply->is_array, reply->count) == 0);
  for (size_t i = 0; i < ROOST_REDIS_ITEMS; i++) {
    const roost_redis_item *item = &reply->items[i];
    PROMISE(roost_buffer_printf(replies, " %d %lld %zu:", item->kind, (long long)item->integer,
                                item->text.len) == 0);
    PROMISE(roost_buffer_append_slice(replies, item->text) == 0);
  }
}

/* Notes the replies of the input, which is fed in pieces of that size. */
static void read_in_pieces(roost_buffer *replies, const uint8_t *data, size_t size, size_t piece) {
  roost_redis_reader *reader;
  roost_redis_reply reply;
  const char *why = NULL;
  int status = 0;
  PROMISE(roost_redis_reader_new(&reader, roost_alloc_default(), 0) == 0);
  while (size > 0 && status >= 0) {
    const size_t n = piece < size ? piece : size;
    PROMISE(roost_redis_feed(reader, roost_slice_of((const char *)data, n)) == 0);
    while ((status = roost_redis_next(reader, &reply, &why)) == 1)
      note(replies, &reply);
    PROMISE(status == 0 || (status == ROOST_EPROTO && why != NULL));
    data += n;
    size -= n;
  }
  PROMISE(roost_buffer_printf(replies, "%d", status) == 0);
  roost_redis_reader_free(reader);
}

static void write_and_read(const uint8_t *data, size_t size) {
  const roost_slice args[] = {roost_slice_text("PUBLISH"),
                              roost_slice_of((const char *)data, size)};
  roost_redis_reader *reader;
  roost_redis_reply reply;
  roost_buffer out;
  const char *why;
  roost_buffer_init(&out, roost_alloc_default());
  PROMISE(roost_redis_command(&out, args, 2) == 0);
  PROMISE(roost_redis_reader_new(&reader, roost_alloc_default(), size + MOST) == 0);
  PROMISE(roost_redis_feed(reader, roost_buffer_slice(&out)) == 0);
  PROMISE(roost_redis_next(reader, &reply, &why) == 1);
  PROMISE(reply.is_array && reply.count == 2);
  PROMISE(roost_redis_is(&reply.items[0], "PUBLISH"));
  PROMISE(roost_slice_equal(reply.items[1].text, args[1]));
  roost_redis_reader_free(reader);
  roost_buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  roost_buffer whole, pieces;
  if (size == 0)
    return 0;
  const size_t piece = data[0] % 16 + 1u;
  roost_buffer_init(&whole, roost_alloc_default());
  roost_buffer_init(&pieces, roost_alloc_default());
  read_in_pieces(&whole, data + 1, size - 1, size);
  read_in_pieces(&pieces, data + 1, size - 1, piece);
  PROMISE(fuzz_same(&whole, &pieces));
  roost_buffer_deinit(&whole);
  roost_buffer_deinit(&pieces);
  write_and_read(data + 1, size - 1);
  return 0;
}
