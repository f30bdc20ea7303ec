// Nest's TCP framing: "<length>#<JSON text>", the length in UTF-16 units, as JavaScript counts.

/** One frame around a JSON text. */
export const frame = (text) => `${text.length}#${text}`;

/** One frame around a value. */
export const packet = (value) => frame(JSON.stringify(value));

/** A request's JSON text from the JSON text of its data. */
export const requestText = (pattern, dataText, id = '1') =>
  `{"pattern":${JSON.stringify(pattern)},"data":${dataText},"id":${JSON.stringify(id)}}`;

/** A request's frame from the JSON text of its data. */
export const request = (pattern, dataText, id) => frame(requestText(pattern, dataText, id));

/** The frame around bytes: as many units as they decode to. */
export const frameBytes = (bytes) =>
  Buffer.concat([Buffer.from(`${bytes.toString('utf8').length}#`), bytes]);

/** What a server answers with, as it stands on the wire. */
export const last = (valueText, id = '"1"') =>
  `{"response":${valueText},"isDisposed":true,"id":${id}}`;
export const item = (valueText, id = '"1"') => `{"response":${valueText},"id":${id}}`;
export const end = (id = '"1"') => `{"isDisposed":true,"id":${id}}`;
export const failure = (errText, id = '"1"') => `{"err":${errText},"isDisposed":true,"id":${id}}`;
export const masked = (id) => failure('{"status":"error","message":"Internal server error"}', id);
export const noHandlerText = 'There is no matching message handler defined in the remote service.';
export const noHandler = (id = '"1"') => `{"id":${id},"status":"error","err":"${noHandlerText}"}`;
