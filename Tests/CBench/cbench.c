/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cbench.h"
#include "call.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
	PAYLOAD = 24,
	CALL = 64, /* datagrams in a call */
	TCX_INGRESS = 46, /* linux/bpf.h of 6.6 and later */
	TCX_EGRESS = 47,
};

int cbench_empty_program(void)
{
	static const struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attributes = {};
	attributes.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attributes.insns = (uint64_t)instructions;
	attributes.insn_cnt = sizeof(instructions) / sizeof(*instructions);
	attributes.license = (uint64_t) "GPL";
	return bpf(BPF_PROG_LOAD, &attributes);
}

int cbench_attach(int program, uint32_t interface, int egress_hook)
{
	union bpf_attr attributes = {};
	attributes.link_create.prog_fd = (uint32_t)program;
	attributes.link_create.target_ifindex = interface;
	attributes.link_create.attach_type = egress_hook ? TCX_EGRESS : TCX_INGRESS;
	return bpf(BPF_LINK_CREATE, &attributes);
}

int cbench_map_create(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries, uint32_t flags)
{
	union bpf_attr attributes = {};
	attributes.map_type = type;
	attributes.key_size = key_size;
	attributes.value_size = value_size;
	attributes.max_entries = entries;
	attributes.map_flags = flags;
	return bpf(BPF_MAP_CREATE, &attributes);
}

int cbench_map_update_batch(int map, const void *keys, const void *values, uint32_t count)
{
	union bpf_attr attributes = {};
	attributes.batch.map_fd = (uint32_t)map;
	attributes.batch.keys = (uint64_t)keys;
	attributes.batch.values = (uint64_t)values;
	attributes.batch.count = count;
	return bpf(BPF_MAP_UPDATE_BATCH, &attributes);
}

int cbench_map_lookup_batch(int map, void *keys, void *values, uint32_t count)
{
	char cursor[32];
	union bpf_attr attributes = {};
	attributes.batch.map_fd = (uint32_t)map;
	attributes.batch.out_batch = (uint64_t)cursor;
	attributes.batch.keys = (uint64_t)keys;
	attributes.batch.values = (uint64_t)values;
	attributes.batch.count = count;
	int result = bpf(BPF_MAP_LOOKUP_BATCH, &attributes);
	/* ENOENT: that was the last of them. */
	return result && result != -ENOENT ? result : (int)attributes.batch.count;
}

int cbench_pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	return checked(sched_setaffinity(0, sizeof(set), &set));
}

void cbench_trim(void)
{
	malloc_trim(0);
}

static struct sockaddr_in address_of(const char *address, uint16_t port)
{
	struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons(port)};
	if (address)
		inet_pton(AF_INET, address, &result.sin_addr);
	return result;
}

/* Binds where there is no address, connects where there is one. */
static int open_socket(int type, const char *address, uint16_t port)
{
	struct sockaddr_in end = address_of(address, port);
	int one = 1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (address ? connect(fd, (struct sockaddr *)&end, sizeof(end)) : bind(fd, (struct sockaddr *)&end, sizeof(end))) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

int cbench_udp_sender(const char *address, uint16_t port)
{
	return open_socket(SOCK_DGRAM, address, port);
}

int cbench_udp_sink(uint16_t port)
{
	int least = 1;
	struct timeval second = {1, 0};
	int fd = open_socket(SOCK_DGRAM, NULL, port);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	}
	return fd;
}

int cbench_tcp_listener(uint16_t port)
{
	int fd = open_socket(SOCK_STREAM, NULL, port);
	if (fd >= 0 && listen(fd, 8) < 0) {
		int error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

int cbench_tcp_client(const char *address, uint16_t port)
{
	return open_socket(SOCK_STREAM, address, port);
}

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int64_t cbench_flood(int sender, uint32_t count)
{
	static const char payload[PAYLOAD];
	struct iovec part = {(void *)payload, PAYLOAD};
	struct mmsghdr messages[CALL];
	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < CALL; i++) {
		messages[i].msg_hdr.msg_iov = &part;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	int64_t start = now();
	for (uint32_t sent = 0; sent < count;) {
		uint32_t rest = count - sent;
		int result = sendmmsg(sender, messages, rest < CALL ? rest : CALL, 0);
		if (result < 0)
			return -errno;
		sent += (uint32_t)result;
	}
	return now() - start;
}

int cbench_answer(int sink)
{
	char payload[PAYLOAD];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t length = recvfrom(sink, payload, PAYLOAD, 0, (struct sockaddr *)&from, &size);
	if (length < 0)
		return -errno;
	return checked(sendto(sink, payload, (size_t)length, 0, (struct sockaddr *)&from, size));
}

/* The whole payload, or less where the connection ends. */
static ssize_t receive(int fd, char *payload)
{
	return recv(fd, payload, PAYLOAD, MSG_WAITALL);
}

int cbench_echo(int listener)
{
	for (;;) {
		char payload[PAYLOAD];
		int one = 1;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			return errno == EINVAL ? 0 : -errno;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (receive(fd, payload) == PAYLOAD && send(fd, payload, PAYLOAD, MSG_NOSIGNAL) == PAYLOAD)
			;
		close(fd);
	}
}

int cbench_shutdown(int socket)
{
	return checked(shutdown(socket, SHUT_RDWR));
}

int cbench_round_trips(int client, uint64_t interval, uint32_t count, uint32_t *nanoseconds)
{
	char payload[PAYLOAD] = {0};
	int64_t due = now();
	for (uint32_t i = 0; i < count; i++, due += (int64_t)interval) {
		struct timespec time = {due / 1000000000LL, due % 1000000000LL};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
		int64_t start = now();
		if (send(client, payload, PAYLOAD, MSG_NOSIGNAL) != PAYLOAD || receive(client, payload) != PAYLOAD)
			return errno ? -errno : -EPIPE;
		nanoseconds[i] = (uint32_t)(now() - start);
	}
	return 0;
}
