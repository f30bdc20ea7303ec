/*
 * transport/codec.h - a codec at work on the frames of a transport that has some.
 *
 * The packet is written into the frame as JSON text, as always; before the frame ends, its body is
 * replaced by what the codec makes of it. Any thread, one at a time.
 */
#ifndef ROOST_TRANSPORT_CODEC_H
#define ROOST_TRANSPORT_CODEC_H

#include "transport/transport.h"

/* What a buffer for packets or bodies keeps of its memory for the next one. */
#define ROOST_CODEC_KEEP_BYTES 65536

/* Replaces the body of the frame begun at mark. codec may be NULL. body is the caller's, and what
 * it holds means nothing before and after. ESCRIPT (codec->why says what was wrong), ENOMEM: the
 * frame's body is as it was. */
int roost_codec_write(roost_codec *codec, roost_buffer *out, const roost_frame_mark *mark,
                      roost_buffer *body);

#endif
