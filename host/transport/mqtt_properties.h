/*
 * transport/mqtt_properties.h - metadata and options, which scripts know as JSON, as MQTT has them.
 *
 * Nothing is owned; what is given is borrowed for the call. Any thread.
 */
#ifndef ROOST_TRANSPORT_MQTT_PROPERTIES_H
#define ROOST_TRANSPORT_MQTT_PROPERTIES_H

#include "transport/mqtt.h"
#include "wire/mqtt.h"

/* Appends a packet's user properties as a JSON object; of a name that stands there more than once
 * all values, as a list. Returns 1; 0 where there are none; ENOMEM. */
int roost_mqtt_read_metadata(roost_buffer *out, const roost_mqtt_packet *packet);

/* Appends user properties for a PUBLISH: those of the options whose names metadata (a JSON object,
 * or ptr NULL) does not have, and metadata's. A value that is no text is its JSON text, of a list
 * each; null is left out. EINVAL: too long; ENOMEM. */
int roost_mqtt_write_metadata(roost_buffer *properties, const roost_mqtt_options *options,
                              roost_slice metadata);

/* Takes qos and retain from the options of a message, a JSON object, or ptr NULL. NULL, or a fixed
 * text of why it can't be sent so. */
const char *roost_mqtt_read_options(roost_mqtt_publish *publish, const roost_mqtt_limits *limits,
                                    roost_slice options);

#endif
