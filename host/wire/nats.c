#include "wire/nats.h"

#include "core/slice.h"

/* Memory an idle reader may keep. */
#define KEEP_BYTES 4096

/* MSG has three or four words after its name, HMSG one more. */
#define WORDS_MAX 5

static const char error_line[] = "a line of the server's is too long";
static const char error_memory[] = "out of memory while gathering a message";
static const char error_unknown[] = "an operation that is not known";
static const char error_message[] = "a message's line is broken";
static const char error_end[] = "a message does not end where its line says";

void roost_nats_reader_init(roost_nats_reader *reader, const roost_alloc *alloc, size_t max_bytes) {
  *reader = (roost_nats_reader){.max_bytes = max_bytes};
  roost_buffer_init(&reader->held, alloc);
}

void roost_nats_reader_deinit(roost_nats_reader *reader) {
  roost_buffer_deinit(&reader->held);
}

size_t roost_nats_reader_memory(const roost_nats_reader *reader) {
  return reader->held.cap;
}

static int fail(roost_nats_reader *reader, int status, const char *error) {
  reader->error = error;
  reader->failure = status;
  return status;
}

/* --------------------------------------------------------------------- lines ----------------- */

static bool is_blank(char byte) {
  return byte == ' ' || byte == '\t';
}

static roost_slice next_word(roost_slice *line) {
  while (line->len > 0 && is_blank(*line->ptr)) {
    line->ptr++;
    line->len--;
  }
  roost_slice word = {line->ptr, 0};
  while (word.len < line->len && !is_blank(line->ptr[word.len]))
    word.len++;
  line->ptr += word.len;
  line->len -= word.len;
  return word;
}

/* Names of operations may come in letters of either case. */
static bool is_word(roost_slice word, const char *name, size_t len) {
  if (word.len != len)
    return false;
  for (size_t i = 0; i < len; i++) {
    const char byte = word.ptr[i];
    if ((byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte) != name[i])
      return false;
  }
  return true;
}

#define IS_WORD(word, name) is_word((word), (name), sizeof(name) - 1)

static bool read_number(roost_slice word, uint64_t *number) {
  *number = 0;
  if (word.len == 0 || word.len > 18)
    return false;
  for (size_t i = 0; i < word.len; i++) {
    if (word.ptr[i] < '0' || word.ptr[i] > '9')
      return false;
    *number = *number * 10 + (uint64_t)(word.ptr[i] - '0');
  }
  return true;
}

/* SUBJECT SID [REPLY] [BLOCK'S SIZE] SIZE; false where it is none of that. */
static bool read_message_line(roost_slice line, bool has_block, roost_nats_op *op,
                              uint64_t *block_bytes) {
  roost_slice words[WORDS_MAX];
  size_t count = 0;
  for (roost_slice word; (word = next_word(&line)).len > 0; count++) {
    if (count == WORDS_MAX)
      return false;
    words[count] = word;
  }
  const size_t least = has_block ? 4 : 3;
  if (count < least || count > least + 1)
    return false;
  op->kind = ROOST_NATS_MESSAGE;
  op->subject = words[0];
  if (count > least)
    op->reply = words[2];
  *block_bytes = 0;
  return read_number(words[1], &op->sid) && read_number(words[count - 1], &op->size) &&
         (!has_block || read_number(words[count - 2], block_bytes)) && *block_bytes <= op->size;
}

static roost_slice trim(roost_slice text) {
  while (text.len > 0 && is_blank(*text.ptr)) {
    text.ptr++;
    text.len--;
  }
  while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
    text.len--;
  return text;
}

static roost_slice without_quotes(roost_slice text) {
  text = trim(text);
  if (text.len >= 2 && text.ptr[0] == '\'' && text.ptr[text.len - 1] == '\'') {
    text.ptr++;
    text.len -= 2;
  }
  return text;
}

/* Reads a line, without its newline. False where it is none of the protocol. */
static bool read_line(roost_nats_reader *reader, roost_slice line, roost_nats_op *op,
                      uint64_t *block_bytes) {
  if (line.len > 0 && line.ptr[line.len - 1] == '\r')
    line.len--;
  roost_slice rest = line;
  const roost_slice name = next_word(&rest);
  const bool has_block = IS_WORD(name, "HMSG");
  *op = (roost_nats_op){.kind = ROOST_NATS_OK};
  *block_bytes = 0;
  reader->error = error_unknown;
  if (has_block || IS_WORD(name, "MSG")) {
    reader->error = error_message;
    return read_message_line(rest, has_block, op, block_bytes);
  }
  op->payload = trim(rest);
  if (IS_WORD(name, "PING"))
    op->kind = ROOST_NATS_PING;
  else if (IS_WORD(name, "PONG"))
    op->kind = ROOST_NATS_PONG;
  else if (IS_WORD(name, "INFO"))
    op->kind = ROOST_NATS_INFO;
  else if (!IS_WORD(name, "+OK") && !IS_WORD(name, "-ERR"))
    return false;
  if (IS_WORD(name, "-ERR")) {
    op->kind = ROOST_NATS_ERROR;
    op->payload = without_quotes(rest);
  }
  return true;
}

/* --------------------------------------------------------------------- reading --------------- */

static void forget(roost_nats_reader *reader) {
  reader->delivered = false;
  reader->line_bytes = 0;
  roost_buffer_clear(&reader->held);
  if (reader->held.cap > KEEP_BYTES)
    roost_buffer_deinit(&reader->held);
}

static void take(roost_slice *input, size_t n) {
  input->ptr += n;
  input->len -= n;
}

static int hold(roost_nats_reader *reader, roost_slice bytes) {
  if (roost_buffer_append_slice(&reader->held, bytes) != 0)
    return fail(reader, ROOST_ENOMEM, error_memory);
  return 0;
}

/* Cuts what follows the line, with its end, into op's parts. 1 or EPROTO. */
static int cut(roost_nats_reader *reader, roost_nats_op *op, roost_slice content,
               uint64_t block_bytes) {
  if (content.len < 2 || memcmp(content.ptr + content.len - 2, "\r\n", 2) != 0)
    return fail(reader, ROOST_EPROTO, error_end);
  if (block_bytes > 0)
    op->block = (roost_slice){content.ptr, (size_t)block_bytes};
  op->payload = (roost_slice){content.ptr + block_bytes, (size_t)(op->size - block_bytes)};
  return 1;
}

/* The operation whose line, with its newline, is read, and what follows it stands in rest. 1; 0:
 * there is more to come, as left and skips say; or EPROTO. */
static int read_operation(roost_nats_reader *reader, roost_slice line, roost_slice *rest,
                          roost_nats_op *op) {
  uint64_t block_bytes;
  if (!read_line(reader, (roost_slice){line.ptr, line.len - 1}, op, &block_bytes))
    return fail(reader, ROOST_EPROTO, reader->error);
  reader->error = NULL;
  if (op->kind != ROOST_NATS_MESSAGE)
    return 1;
  reader->skips = op->size > reader->max_bytes;
  if (!reader->skips && rest->len >= op->size + 2) {
    const roost_slice content = {rest->ptr, (size_t)op->size + 2};
    take(rest, content.len);
    return cut(reader, op, content, block_bytes);
  }
  reader->left = op->size + 2;
  return 0;
}

/* Has the line, whole in held or at the front of the input, and goes on from there. */
static int read_whole_line(roost_nats_reader *reader, roost_slice line, roost_slice *input,
                           roost_nats_op *op) {
  const bool is_held = line.ptr == reader->held.ptr;
  const int status = read_operation(reader, line, input, op);
  if (status != 0) {
    reader->delivered = status > 0 && is_held;
    return status;
  }
  reader->line_bytes = line.len;
  return is_held ? 0 : hold(reader, line);
}

static int take_line(roost_nats_reader *reader, roost_slice *input, roost_nats_op *op) {
  const char *newline = memchr(input->ptr, '\n', input->len);
  const size_t n = newline != NULL ? (size_t)(newline - input->ptr) + 1 : input->len;
  const roost_slice piece = {input->ptr, n};
  if (n > ROOST_NATS_LINE_MAX - reader->held.len)
    return fail(reader, ROOST_EFULL, error_line);
  take(input, n);
  if (newline != NULL && reader->held.len == 0)
    return read_whole_line(reader, piece, input, op);
  const int status = hold(reader, piece);
  if (status != 0 || newline == NULL)
    return status;
  return read_whole_line(reader, roost_buffer_slice(&reader->held), input, op);
}

/* All that belongs to a message is there, or was thrown away. */
static int finish(roost_nats_reader *reader, roost_nats_op *op) {
  uint64_t block_bytes;
  const roost_slice line = {reader->held.ptr, reader->line_bytes - 1};
  const roost_slice content = {reader->held.ptr + reader->line_bytes,
                               reader->held.len - reader->line_bytes};
  (void)read_line(reader, line, op, &block_bytes); /* as it was read before */
  reader->error = NULL;
  reader->delivered = true;
  op->oversize = reader->skips;
  return reader->skips ? 1 : cut(reader, op, content, block_bytes);
}

static int take_content(roost_nats_reader *reader, roost_slice *input, roost_nats_op *op) {
  const size_t n = input->len < reader->left ? input->len : (size_t)reader->left;
  if (!reader->skips) {
    const int status = hold(reader, (roost_slice){input->ptr, n});
    if (status != 0)
      return status;
  }
  take(input, n);
  reader->left -= n;
  return reader->left == 0 ? finish(reader, op) : 0;
}

int roost_nats_read(roost_nats_reader *reader, roost_slice *input, roost_nats_op *op) {
  if (reader->error != NULL)
    return reader->failure;
  if (reader->delivered)
    forget(reader);
  while (input->len > 0) {
    const int status =
        reader->line_bytes > 0 ? take_content(reader, input, op) : take_line(reader, input, op);
    if (status != 0)
      return status;
  }
  return 0;
}
