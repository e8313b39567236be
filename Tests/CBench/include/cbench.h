/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured beside weir: the bare system calls, an empty program, and traffic from one thread.
 *
 * Every function returns zero, a count or a descriptor on success and a negative errno otherwise.
 */
#ifndef WEIR_CBENCH_H
#define WEIR_CBENCH_H

#include <stdint.h>

/* A TC program of two instructions that leaves every packet to the next one. */
int cbench_empty_program(void);
/* Gone when the descriptor is closed. */
int cbench_attach(int program, uint32_t interface, int egress_hook);

int cbench_map_create(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries, uint32_t flags);
/* All in one call. */
int cbench_map_update_batch(int map, const void *keys, const void *values, uint32_t count);
/* Likewise; there is room for `count`. Returns how many there were. */
int cbench_map_lookup_batch(int map, void *keys, void *values, uint32_t count);

/* Another descriptor of a loaded program. */
int cbench_program_with_id(uint32_t id);
/*
 * Nanoseconds of this thread's own time for `count` runs on one frame, as forwarded to or from the loopback; `code` is
 * what the last one returned.
 */
int64_t cbench_test_run(int program, const void *frame, uint32_t length, uint32_t count, int32_t *code);

/* A field of the frame, in network order: `count` values from `first`, in steps of `step`. As wide as it will be
 * read: a load of what a narrower store has left waits for it. */
struct cbench_rotation {
	uint32_t offset;
	uint32_t width; /* 2 or 4 bytes */
	uint32_t first;
	uint32_t count;
	uint32_t shift; /* by so many bits what changes stands to the left */
	uint32_t step; /* without a common divisor with `count`: each value comes once in `count` runs */
};
/*
 * A program that gives the field its next value and goes on with another program, for as long as the descriptor in
 * `calls` is open. It returns 7 where it cannot.
 */
int cbench_rotating_program(const struct cbench_rotation *rotation, int called, int *calls);
/*
 * Two programs on an LRU hash with keys of 16 and values of 64 bytes. The one that is returned puts another key into it
 * each time and returns what the helper does. `finding` looks for one of the first `keys` of them, another each time,
 * adds to its value and returns 1, or 0 where there is none.
 */
int cbench_table_programs(uint32_t entries, uint32_t keys, int *finding);

/* The calling thread runs on this CPU from now on; on any of them for -1. */
int cbench_pin(int cpu);
/* Gives freed memory back. */
void cbench_trim(void);

/* Sockets belong to the network namespace of the thread that makes them, whoever uses them later. */
int cbench_udp_sender(const char *address, uint16_t port);
/* Keeps next to nothing: what is not read is dropped at the socket. */
int cbench_udp_sink(uint16_t port);
int cbench_tcp_listener(uint16_t port);
int cbench_tcp_client(const char *address, uint16_t port);

/* Nanoseconds for `count` datagrams of 24 bytes, in calls of 64. */
int64_t cbench_flood(int sender, uint32_t count);
/* Sends one datagram of the sink's back to where it came from; EAGAIN where none comes within a second. */
int cbench_answer(int sink);
/* Answers every 24 bytes of one connection after the other until the listener is shut down. */
int cbench_echo(int listener);
int cbench_shutdown(int socket);
/*
 * One request of 24 bytes each `interval` nanoseconds, the next on time even if one was late; the answers' delays go to
 * `nanoseconds`.
 */
int cbench_round_trips(int client, uint64_t interval, uint32_t count, uint32_t *nanoseconds);

#endif
