/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Loads the object, fills both slots by hand and sends frames through BPF_PROG_TEST_RUN. Static and
 * without a framework, so that the same file runs on any kernel that boots with an initramfs.
 * usage: smoke weir.bpf.o (as root)
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "../../bpf/abi/weir_abi.h"

enum { IFINDEX = 1, INGRESS_ROW = 32, FORWARDED = 1, PASS = WEIR_REASON_NONE };
enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ESP = 50, PROTO_ICMPV6 = 58, PROTO_SCTP = 132 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
/* Peer groups of this test. */
enum { FRIEND = 8, TABLED, FOE, CALLER };

static struct bpf_object *object;
static int programs[2];
static int failures, checks, refused; /* refused by the kernel's test run, not by the program */

static void die(const char *what)
{
	fprintf(stderr, "smoke: %s: %s\n", what, strerror(errno));
	exit(2);
}

static int map_fd(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(object, name);

	if (fd < 0)
		die(name);
	return fd;
}

static void put(int fd, const void *key, const void *value)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (!bpf_map_update_elem(fd, key, value, BPF_ANY))
		return;
	fprintf(stderr, "smoke: update: %s\n", strerror(errno));
	if (!bpf_obj_get_info_by_fd(fd, &info, &size))
		fprintf(stderr, "smoke: of map %s\n", info.name);
	exit(2);
}

/* ---- frames ---- */

struct frame {
	unsigned char bytes[2048];
	unsigned int length;
};

static struct frame ethernet(unsigned int type)
{
	struct frame f = { .length = 14 };

	memset(f.bytes, 2, 12);
	f.bytes[12] = type >> 8;
	f.bytes[13] = type;
	return f;
}

static void add(struct frame *f, const void *bytes, unsigned int length)
{
	if (bytes)
		memcpy(f->bytes + f->length, bytes, length);
	f->length += length;
}

static struct frame ipv4(const char *source, const char *destination, int protocol, const struct frame *payload,
			 const char *options, unsigned int option_bytes)
{
	struct frame f = ethernet(0x0800);
	unsigned int total = 20 + option_bytes + payload->length;
	unsigned char h[20] = { 0x45 + option_bytes / 4, 0, total >> 8, total, 0, 1, 0x40, 0, 64, protocol };

	inet_pton(AF_INET, source, h + 12);
	inet_pton(AF_INET, destination, h + 16);
	add(&f, h, 20);
	add(&f, options, option_bytes);
	add(&f, payload->bytes, payload->length);
	return f;
}

static struct frame ipv6(const char *source, const char *destination, int protocol, const struct frame *payload, int hops)
{
	struct frame f = ethernet(0x86dd);
	unsigned char h[40] = { 0x60, 0, 0, 0, payload->length >> 8, payload->length, protocol, hops };

	inet_pton(AF_INET6, source, h + 8);
	inet_pton(AF_INET6, destination, h + 24);
	add(&f, h, 40);
	add(&f, payload->bytes, payload->length);
	return f;
}

static struct frame tcp(int source, int destination, int flags)
{
	struct frame f = { .length = 20 };

	f.bytes[0] = source >> 8, f.bytes[1] = source;
	f.bytes[2] = destination >> 8, f.bytes[3] = destination;
	f.bytes[12] = 0x50, f.bytes[13] = flags;
	return f;
}

static struct frame udp(int source, int destination)
{
	struct frame f = tcp(source, destination, 0);

	f.length = 8;
	return f;
}

static struct frame icmp(int type, int identifier, const struct frame *quoted)
{
	struct frame f = { .bytes = { type, 0, 0, 0, identifier >> 8, identifier }, .length = 8 };

	if (quoted)
		add(&f, quoted->bytes + 14, quoted->length - 14);
	return f;
}

static struct frame neighbour(int type, const char *target)
{
	struct frame f = icmp(type, 0, NULL);

	f.length = 24;
	inet_pton(AF_INET6, target, f.bytes + 8);
	return f;
}

/* What lies in front of the payload: next header, length in eight bytes, type, segments left. */
static struct frame extended(int next, int length, int segments, const struct frame *payload)
{
	struct frame f = { .bytes = { next, length, 0, segments }, .length = 8 + 8 * length };

	add(&f, payload->bytes, payload->length);
	return f;
}

/* Padded: newer kernels refuse to run on a bare header. */
static struct frame unknown(unsigned int type)
{
	struct frame f = ethernet(type);

	f.length = 60;
	return f;
}

static struct frame arp(const char *sender)
{
	struct frame f = ethernet(0x0806);
	unsigned char h[28] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	inet_pton(AF_INET, sender, h + 14);
	add(&f, h, 28);
	return f;
}

/* The frame with a VLAN tag. */
static struct frame tagged(unsigned int type, unsigned int tag, struct frame f)
{
	unsigned char header[4] = { type >> 8, type, tag >> 8, tag };

	memmove(f.bytes + 16, f.bytes + 12, f.length - 12);
	memcpy(f.bytes + 12, header, 4);
	f.length += 4;
	return f;
}

/* The usual packets between the endpoint and a peer. */
#define ME4 "10.0.0.5"
#define ME6 "fd00::5"

static struct frame l4_4(const char *source, const char *destination, int protocol, struct frame payload)
{
	return ipv4(source, destination, protocol, &payload, NULL, 0);
}

static struct frame l4_6(const char *source, const char *destination, int protocol, struct frame payload)
{
	return ipv6(source, destination, protocol, &payload, 64);
}

static struct frame link6(const char *source, const char *destination, struct frame payload, int hops)
{
	return ipv6(source, destination, PROTO_ICMPV6, &payload, hops);
}

/* ---- running ---- */

static void read_drops(unsigned long long *to)
{
	int cpus = libbpf_num_possible_cpus();
	struct weir_counter values[cpus];

	for (weir_u32 i = 0; i < WEIR_DROPS_ERRNO; i++) {
		to[i] = 0;
		if (bpf_map_lookup_elem(map_fd("drops"), &i, values))
			die("drops");
		for (int cpu = 0; cpu < cpus; cpu++)
			to[i] += values[cpu].packets;
	}
}

enum { NEITHER = -1, MISCOUNTED = -2, REFUSED = -3 };

/* The reason that was counted, PASS where none was and the program returned -1. */
static int run(int direction, struct frame f, int forwarded)
{
	static unsigned long long before[WEIR_DROPS_ERRNO], after[WEIR_DROPS_ERRNO];
	struct __sk_buff context = { .ifindex = IFINDEX, .ingress_ifindex = forwarded ? 1 : 0 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = f.bytes, .data_size_in = f.length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = 1);
	int reason = NEITHER;

	read_drops(before);
	if (bpf_prog_test_run_opts(programs[direction], &options)) {
		if (errno != EINVAL)
			die("test run");
		return REFUSED;
	}
	read_drops(after);
	if ((int)options.retval == -1)
		reason = PASS;
	for (int i = 0; i < WEIR_DROPS_ERRNO; i++) {
		if (after[i] == before[i])
			continue;
		if ((int)options.retval != 2 || i % 2 != direction || after[i] != before[i] + 1)
			return MISCOUNTED;
		reason = i / 2;
	}
	return reason;
}

static void expect(int line, const char *what, int direction, struct frame f, int forwarded, int reason)
{
	int actual = run(direction, f, forwarded);

	checks++;
	if (actual == REFUSED)
		refused++;
	if (actual == reason || actual == REFUSED)
		return;
	failures++;
	printf("line %d: %s: expected %d, got %d\n", line, what, reason, actual);
}

static void require(int line, const char *what, bool holds)
{
	checks++;
	if (holds)
		return;
	failures++;
	printf("line %d: %s\n", line, what);
}

#define OUT(what, frame, reason) expect(__LINE__, what, WEIR_EGRESS, frame, FORWARDED, reason)
#define IN(what, frame, reason) expect(__LINE__, what, WEIR_INGRESS, frame, FORWARDED, reason)
#define IN_FROM_HOST(what, frame, reason) expect(__LINE__, what, WEIR_INGRESS, frame, 0, reason)
#define REQUIRE(what, condition) require(__LINE__, what, condition)

/* ---- the node ---- */

/* libbpf forgets the inner maps' templates once the object is loaded. */
static struct template {
	const char *name;
	int type;
	unsigned int key_size, value_size, flags;
} templates[] = { { .name = "endpoints" }, { .name = "ipcache4" }, { .name = "ipcache6" }, { .name = "cidrs4" },
		  { .name = "cidrs6" },    { .name = "peers" },    { .name = "verdicts" } };
enum { TEMPLATES = sizeof(templates) / sizeof(templates[0]) };

static void remember_templates(void)
{
	for (int i = 0; i < TEMPLATES; i++) {
		struct bpf_map *inner = bpf_map__inner_map(bpf_object__find_map_by_name(object, templates[i].name));

		templates[i].type = bpf_map__type(inner);
		templates[i].key_size = bpf_map__key_size(inner);
		templates[i].value_size = bpf_map__value_size(inner);
		templates[i].flags = bpf_map__map_flags(inner);
	}
}

static int fresh_inner(const char *name, unsigned int entries)
{
	struct template *inner = templates;
	int fd;

	while (strcmp(inner->name, name))
		inner++;
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = inner->flags);
	fd = bpf_map_create(inner->type, name, inner->key_size, inner->value_size, entries, &options);
	if (fd < 0)
		die(name);
	return fd;
}

static void publish(const char *name, weir_u32 slot, int fd)
{
	put(map_fd(name), &slot, &fd);
}

static weir_u32 action(enum weir_action_kind kind, weir_u32 id)
{
	return (weir_u32)kind << WEIR_ACTION_KIND_SHIFT | id;
}

static void row(int fd, weir_u32 index, weir_u32 value)
{
	weir_u32 element = index / WEIR_ACTIONS;
	struct weir_actions actions;

	if (bpf_map_lookup_elem(fd, &element, &actions))
		die("peers");
	actions.words[index % WEIR_ACTIONS] = value;
	put(fd, &element, &actions);
}

static void verdict(int fd, weir_u32 table, weir_u32 prefix, int protocol, int port, weir_u32 value)
{
	struct weir_verdict_key key = { .prefix_length = prefix, .table = table, .protocol = protocol,
					.port_be = { port >> 8, port } };

	put(fd, &key, &value);
}

static void peer4(int fd, const char *address, weir_u32 group, weir_u32 flags)
{
	struct weir_peer peer = { .group = group, .identity = group + 100, .flags = flags };
	unsigned char key[4];

	inet_pton(AF_INET, address, key);
	put(fd, key, &peer);
}

/* `friendly`: whether FRIEND may be spoken to and CALLER may call. Slots differ in nothing else. */
static void fill(weir_u32 slot, bool friendly)
{
	int endpoints = fresh_inner("endpoints", 4), ipcache4 = fresh_inner("ipcache4", 16);
	int ipcache6 = fresh_inner("ipcache6", 16), cidrs4 = fresh_inner("cidrs4", 16);
	int cidrs6 = fresh_inner("cidrs6", 16), peers = fresh_inner("peers", 1), verdicts = fresh_inner("verdicts", 16);
	struct weir_endpoint me = { .id = 1, .egress_row = 0, .ingress_row = INGRESS_ROW,
				    .flags = WEIR_ENDPOINT_HAS_IPV4 | WEIR_ENDPOINT_HAS_IPV6 };
	struct weir_slot_meta meta = { .state = WEIR_SLOT_READY, .abi_version = WEIR_ABI_VERSION };
	struct weir_peer peer = { .group = WEIR_GROUP_WORLD_IPV4 };
	struct weir_cidr4 cidr4 = {};
	struct weir_cidr6 cidr6 = {};
	struct weir_address6 address6;
	weir_u32 ifindex = IFINDEX;

	inet_pton(AF_INET, ME4, me.ipv4);
	inet_pton(AF_INET6, ME6, me.ipv6);
	put(endpoints, &ifindex, &me);

	peer4(ipcache4, "10.0.0.1", WEIR_GROUP_HOST, WEIR_PEER_NODE | WEIR_PEER_OWN_NODE);
	peer4(ipcache4, "10.0.0.9", FRIEND, 0);
	peer4(ipcache4, "10.0.0.10", TABLED, 0);
	peer4(ipcache4, "10.0.0.11", FOE, 0);
	peer4(ipcache4, "10.0.0.12", CALLER, 0);
	peer4(ipcache4, "10.0.0.14", CALLER, WEIR_PEER_ENCRYPTED);
	peer4(ipcache4, "10.0.0.13", 63, 0); /* beyond the array */
	put(cidrs4, &cidr4, &peer);
	peer.group = FRIEND;
	cidr4.prefix_length = 24;
	inet_pton(AF_INET, "192.0.2.0", cidr4.bytes);
	put(cidrs4, &cidr4, &peer);
	inet_pton(AF_INET6, "fd00::9", address6.bytes);
	put(ipcache6, &address6, &peer);
	peer.group = CALLER;
	inet_pton(AF_INET6, "fd00::c", address6.bytes);
	put(ipcache6, &address6, &peer);
	/* No root in cidrs6 but one half: the rest of the world has no peer. */
	peer.group = WEIR_GROUP_WORLD_IPV6;
	cidr6.prefix_length = 1;
	put(cidrs6, &cidr6, &peer);

	for (weir_u32 i = 0; i < 2 * INGRESS_ROW; i++)
		row(peers, i, action(WEIR_ACTION_DEFAULT_DENY, 3));
	row(peers, WEIR_GROUP_HOST, action(WEIR_ACTION_ALLOW, 0));
	row(peers, FRIEND, friendly ? action(WEIR_ACTION_ALLOW, 1) : action(WEIR_ACTION_DENY, 2));
	row(peers, TABLED, action(WEIR_ACTION_TABLE, 1));
	row(peers, FOE, action(WEIR_ACTION_DENY, 2));
	row(peers, INGRESS_ROW + WEIR_GROUP_HOST, action(WEIR_ACTION_ALLOW, 6));
	row(peers, INGRESS_ROW + WEIR_GROUP_MASQUERADED, action(WEIR_ACTION_DENY, 2));
	row(peers, INGRESS_ROW + CALLER, friendly ? action(WEIR_ACTION_ALLOW, 7) : action(WEIR_ACTION_DENY, 2));
	verdict(verdicts, 1, WEIR_VERDICT_PREFIX_PORT, PROTO_TCP, 80, action(WEIR_ACTION_ALLOW, 4));
	verdict(verdicts, 1, WEIR_VERDICT_PREFIX_PROTOCOL + 12, PROTO_TCP, 8080, action(WEIR_ACTION_ALLOW, 5));
	verdict(verdicts, 1, WEIR_VERDICT_PREFIX_PORT, PROTO_TCP, 8081, action(WEIR_ACTION_DENY, 2));
	verdict(verdicts, 1, WEIR_VERDICT_PREFIX_PROTOCOL, PROTO_UDP, 0, action(WEIR_ACTION_ALLOW, 5));
	verdict(verdicts, 1, WEIR_VERDICT_PREFIX_PORT, PROTO_ICMP, 8, action(WEIR_ACTION_ALLOW, 5));
	verdict(verdicts, 1, WEIR_VERDICT_PREFIX_PORT, PROTO_SCTP, 7, action(WEIR_ACTION_TABLE, 1));

	publish("endpoints", slot, endpoints);
	publish("ipcache4", slot, ipcache4);
	publish("ipcache6", slot, ipcache6);
	publish("cidrs4", slot, cidrs4);
	publish("cidrs6", slot, cidrs6);
	publish("peers", slot, peers);
	publish("verdicts", slot, verdicts);
	put(map_fd("slot_meta"), &slot, &meta);
}

static void commit(unsigned long long revision)
{
	struct weir_control word = { .word = revision | 1ull << 60 }; /* a flag above the revision changes nothing */
	weir_u32 zero = 0;

	put(map_fd("control"), &zero, &word);
}

static unsigned long long rule_packets(weir_u32 slot, weir_u32 rule)
{
	int cpus = libbpf_num_possible_cpus();
	struct weir_counter values[cpus];
	weir_u32 index = slot * WEIR_RULES_MAX + rule;
	unsigned long long sum = 0;

	if (bpf_map_lookup_elem(map_fd("rule_counters"), &index, values))
		die("rule_counters");
	for (int cpu = 0; cpu < cpus; cpu++)
		sum += values[cpu].packets;
	return sum;
}

static int entries(const char *name)
{
	struct weir_flow6 key, next; /* the larger of both */
	int count = 0, fd = map_fd(name);

	while (!bpf_map_get_next_key(fd, count ? &key : NULL, &next)) {
		key = next;
		count++;
	}
	return count;
}

/* ---- scenarios ---- */

static void no_policy(void)
{
	OUT("revision 0 passes anything", unknown(0x9999), PASS);
	commit(1);
	OUT("a missing slot drops", unknown(0x9999), WEIR_REASON_NO_SLOT);
}

static void link_layer(void)
{
	struct frame f = arp(ME4);

	OUT("unknown ethertype", unknown(0x9999), WEIR_REASON_UNKNOWN_ETHERTYPE);
	OUT("VLAN", tagged(0x8100, 7, arp(ME4)), WEIR_REASON_VLAN);
	OUT("priority tag", tagged(0x8100, 0xe000, arp(ME4)), PASS);
	OUT("priority tag before another's sender", tagged(0x8100, 0xe000, arp("10.0.0.9")), WEIR_REASON_ARP);
	OUT("two priority tags", tagged(0x8100, 0, tagged(0x8100, 0, arp(ME4))), WEIR_REASON_UNKNOWN_ETHERTYPE);
	OUT("TCP behind a priority tag", tagged(0x8100, 0, l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(1000, 80, SYN))), PASS);
	OUT("QinQ", unknown(0x88a8), WEIR_REASON_VLAN);
	OUT("ARP with its own sender", f, PASS);
	OUT("ARP probe", arp("0.0.0.0"), PASS);
	OUT("ARP with another's sender", arp("10.0.0.9"), WEIR_REASON_ARP);
	IN("ARP to the endpoint", arp("10.0.0.9"), PASS);
	f.length = 14 + 27;
	OUT("short ARP", f, WEIR_REASON_ARP);
	f = arp(ME4);
	f.bytes[18] = 8;
	OUT("ARP with long hardware addresses", f, WEIR_REASON_ARP);
}

static void ip_headers(void)
{
	struct frame f = l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(1000, 80, SYN)), p = tcp(1000, 80, SYN);

	f.length = 33;
	OUT("short IPv4", f, WEIR_REASON_TRUNCATED);
	f = l4_4(ME4, "10.0.0.9", PROTO_TCP, p);
	f.bytes[14] = 0x55;
	OUT("version 5", f, WEIR_REASON_IP_HEADER);
	f.bytes[14] = 0x44;
	OUT("header of 16 bytes", f, WEIR_REASON_IP_HEADER);
	f.bytes[14] = 0x4f;
	OUT("header beyond the frame", f, WEIR_REASON_TRUNCATED);
	f.bytes[14] = 0x45, f.bytes[17] = 41;
	OUT("total length beyond the frame", f, WEIR_REASON_IP_HEADER);
	f.bytes[17] = 39;
	OUT("TCP beyond the total length", f, WEIR_REASON_L4_HEADER);
	OUT("router alert", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p, "\x94\x04\0\0", 4), PASS);
	OUT("no-ops and an end", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p, "\1\1\1\1\1\0\x83\xff", 8), PASS);
	OUT("forty no-ops", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p,
				 "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", 40), PASS);
	OUT("loose source route", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p, "\1\x83\x03\0", 4), WEIR_REASON_IPV4_SOURCE_ROUTE);
	OUT("strict source route, last byte", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p, "\1\1\1\x89", 4),
	    WEIR_REASON_IPV4_SOURCE_ROUTE);
	OUT("option without length", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p, "\1\1\1\x94", 4), WEIR_REASON_IP_HEADER);
	OUT("option of length 1", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p, "\x94\1\0\0", 4), WEIR_REASON_IP_HEADER);
	OUT("option beyond the header", ipv4(ME4, "10.0.0.9", PROTO_TCP, &p, "\x94\5\0\0", 4), WEIR_REASON_IP_HEADER);

	f = l4_6(ME6, "fd00::9", PROTO_TCP, p);
	f.length = 53;
	OUT("short IPv6", f, WEIR_REASON_TRUNCATED);
	f = l4_6(ME6, "fd00::9", PROTO_TCP, p);
	f.bytes[14] = 0x40;
	OUT("version 4 in IPv6", f, WEIR_REASON_IP_HEADER);
	f.bytes[14] = 0x60, f.bytes[19] = 21;
	OUT("payload beyond the frame", f, WEIR_REASON_IP_HEADER);

	p = tcp(1000, 80, SYN), p = extended(PROTO_TCP, 0, 0, &p);
	OUT("hop-by-hop", l4_6(ME6, "fd00::9", 0, p), PASS);
	OUT("routing without segments", l4_6(ME6, "fd00::9", 43, p), PASS);
	OUT("all of it in one fragment", l4_6(ME6, "fd00::9", 44, p), PASS);
	p = tcp(1000, 80, SYN), p = extended(PROTO_TCP, 0, 1, &p);
	OUT("routing with segments left", l4_6(ME6, "fd00::9", 43, p), WEIR_REASON_IPV6_ROUTING);
	OUT("the same bytes as options", l4_6(ME6, "fd00::9", 60, p), PASS);
	p = tcp(1000, 80, SYN), p = extended(PROTO_TCP, 1, 0, &p);
	p.bytes[1] = 2;
	OUT("authentication header counts in fours", l4_6(ME6, "fd00::9", 51, p), PASS);
	p.bytes[1] = 255;
	OUT("extension beyond the packet", l4_6(ME6, "fd00::9", 60, p), WEIR_REASON_IPV6_EXTENSION);
	p = tcp(1000, 80, SYN);
	for (int i = 0; i < 8; i++)
		p = extended(i ? 60 : PROTO_TCP, 0, 0, &p);
	OUT("eight extension headers", l4_6(ME6, "fd00::9", 60, p), PASS);
	p = extended(60, 0, 0, &p);
	OUT("nine extension headers", l4_6(ME6, "fd00::9", 60, p), WEIR_REASON_IPV6_EXTENSION);
	p = tcp(1000, 80, SYN);
	for (int i = 0; i < 3; i++)
		p = extended(i ? 44 : PROTO_TCP, 0, 0, &p);
	OUT("a fragment header in a fragment", l4_6(ME6, "fd00::9", 44, p), WEIR_REASON_FRAGMENT);
}

/* A piece of an IPv4 datagram: `length` bytes of payload from `at`. */
static struct frame piece(const char *destination, int protocol, int id, int at, bool more, struct frame payload)
{
	struct frame f = l4_4(ME4, destination, protocol, payload);

	f.bytes[18] = id >> 8, f.bytes[19] = id;
	f.bytes[20] = (more ? 0x20 : 0) | at / 8 >> 8, f.bytes[21] = at / 8;
	return f;
}

static struct frame sized(struct frame f, unsigned int length)
{
	f.length = length;
	return f;
}

static struct frame piece6(int protocol, unsigned char id, int at, bool more, struct frame payload)
{
	unsigned char header[8] = { protocol, 0, at >> 8, at | more, 0, 0, 0, id };
	struct frame f = { .length = 0 };

	add(&f, header, 8);
	add(&f, payload.bytes, payload.length);
	return l4_6(ME6, "fd00::9", 44, f);
}

static void fragments(void)
{
	struct frame bulk = { .length = 64 };

	OUT("a later fragment before its first", piece("10.0.0.9", PROTO_UDP, 1, 64, false, bulk), WEIR_REASON_FRAGMENT);
	OUT("a first fragment", piece("10.0.0.9", PROTO_UDP, 1, 0, true, sized(udp(1000, 53), 64)), PASS);
	OUT("its later one", piece("10.0.0.9", PROTO_UDP, 1, 64, true, bulk), PASS);
	OUT("its last one", piece("10.0.0.9", PROTO_UDP, 1, 128, false, sized(bulk, 61)), PASS);
	OUT("the first byte behind its header", piece("10.0.0.9", PROTO_UDP, 1, 8, true, bulk), PASS);
	OUT("of another datagram", piece("10.0.0.9", PROTO_UDP, 2, 64, false, bulk), WEIR_REASON_FRAGMENT);
	OUT("of another protocol", piece("10.0.0.9", PROTO_TCP, 1, 64, false, bulk), WEIR_REASON_FRAGMENT);
	OUT("not in eights", piece("10.0.0.9", PROTO_UDP, 1, 64, true, sized(bulk, 61)), WEIR_REASON_FRAGMENT);
	OUT("beyond the largest datagram", piece("10.0.0.9", PROTO_UDP, 1, 65528, false, bulk), WEIR_REASON_FRAGMENT);
	OUT("a first fragment without its header", piece("10.0.0.9", PROTO_TCP, 3, 0, true, sized(tcp(1000, 80, SYN), 16)),
	    WEIR_REASON_L4_HEADER);
	OUT("TCP in fragments", piece("10.0.0.9", PROTO_TCP, 4, 0, true, sized(tcp(1000, 80, SYN), 64)), PASS);
	OUT("over its header", piece("10.0.0.9", PROTO_TCP, 4, 16, true, bulk), WEIR_REASON_FRAGMENT);
	OUT("behind its header", piece("10.0.0.9", PROTO_TCP, 4, 24, true, bulk), PASS);
	OUT("a first fragment that is denied", piece("10.0.0.11", PROTO_UDP, 5, 0, true, sized(udp(1000, 53), 64)),
	    WEIR_REASON_POLICY_DENY);
	OUT("follows it", piece("10.0.0.11", PROTO_UDP, 5, 64, false, bulk), WEIR_REASON_FRAGMENT);
	OUT("IPv6: a later fragment before its first", piece6(PROTO_UDP, 1, 64, false, bulk), WEIR_REASON_FRAGMENT);
	OUT("IPv6: a first fragment", piece6(PROTO_UDP, 1, 0, true, sized(udp(1000, 53), 64)), PASS);
	OUT("IPv6: its later one", piece6(PROTO_UDP, 1, 64, false, bulk), PASS);
	OUT("IPv6: whatever protocol it says", piece6(PROTO_TCP, 1, 64, false, bulk), PASS);
	OUT("IPv6: of another datagram", piece6(PROTO_UDP, 2, 64, false, bulk), WEIR_REASON_FRAGMENT);
	OUT("IPv6: over its header", piece6(PROTO_TCP, 3, 8, true, bulk), WEIR_REASON_FRAGMENT);
	commit(3);
	OUT("of another policy's datagram", piece("10.0.0.9", PROTO_UDP, 1, 64, true, bulk), WEIR_REASON_FRAGMENT);
	commit(1);
}

static void dhcp(weir_u32 options)
{
	struct frame ask = l4_4("0.0.0.0", "255.255.255.255", PROTO_UDP, udp(68, 67));
	struct frame answer = l4_4("10.0.0.9", ME4, PROTO_UDP, udp(67, 68));
	bool asked = options & WEIR_OPTION_DHCP;

	OUT("DHCP", ask, asked ? PASS : WEIR_REASON_SOURCE_ADDRESS);
	OUT("DHCP to one server", l4_4("0.0.0.0", "10.0.0.9", PROTO_UDP, udp(68, 67)), WEIR_REASON_SOURCE_ADDRESS);
	OUT("DHCP's ports the other way", l4_4("0.0.0.0", "255.255.255.255", PROTO_UDP, udp(67, 68)),
	    WEIR_REASON_SOURCE_ADDRESS);
	IN("its answer", answer, asked ? PASS : WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("DHCPv6", l4_6("fe80::5", "ff02::1:2", PROTO_UDP, udp(546, 547)), asked ? PASS : WEIR_REASON_SOURCE_ADDRESS);
}

static void addresses(void)
{
	OUT("another's address", l4_4("10.0.0.6", "10.0.0.9", PROTO_UDP, udp(1, 2)), WEIR_REASON_SOURCE_ADDRESS);
	OUT("multicast source", l4_4("224.0.0.1", "10.0.0.9", PROTO_UDP, udp(1, 2)), WEIR_REASON_MARTIAN_SOURCE);
	OUT("loopback source", l4_4("127.1.2.3", "10.0.0.9", PROTO_UDP, udp(1, 2)), WEIR_REASON_MARTIAN_SOURCE);
	IN("broadcast source", l4_4("255.255.255.255", ME4, PROTO_UDP, udp(1, 2)), WEIR_REASON_MARTIAN_SOURCE);
	OUT("metadata service", l4_4(ME4, "169.254.169.254", PROTO_TCP, tcp(1, 80, SYN)), WEIR_REASON_LINK_LOCAL);
	IN("from link-local", l4_4("169.254.1.1", ME4, PROTO_TCP, tcp(1, 80, SYN)), WEIR_REASON_LINK_LOCAL);
	IN("another's frame", l4_4("10.0.0.9", "10.0.0.6", PROTO_UDP, udp(1, 2)), WEIR_REASON_NOT_FOR_ENDPOINT);
	OUT("IPv6 of another", l4_6("fd00::6", "fd00::9", PROTO_UDP, udp(1, 2)), WEIR_REASON_SOURCE_ADDRESS);
	OUT("link-local source without ND", l4_6("fe80::5", "fd00::9", PROTO_UDP, udp(1, 2)), WEIR_REASON_SOURCE_ADDRESS);
	OUT("IPv6 loopback source", l4_6("::1", "fd00::9", PROTO_UDP, udp(1, 2)), WEIR_REASON_MARTIAN_SOURCE);
	OUT("v4-mapped destination", l4_6(ME6, "::ffff:10.0.0.9", PROTO_UDP, udp(1, 2)), WEIR_REASON_V4_MAPPED);
	IN("v4-mapped source", l4_6("::ffff:10.0.0.9", ME6, PROTO_UDP, udp(1, 2)), WEIR_REASON_V4_MAPPED);
	OUT("to link-local", l4_6(ME6, "fe80::1", PROTO_UDP, udp(1, 2)), WEIR_REASON_LINK_LOCAL);
	OUT("VXLAN to a node", l4_4(ME4, "10.0.0.1", PROTO_UDP, udp(1, 8472)), WEIR_REASON_OVERLAY);
	OUT("GRE to a node", l4_4(ME4, "10.0.0.1", 47, udp(1, 2)), WEIR_REASON_OVERLAY);
	OUT("UDP to a node", l4_4(ME4, "10.0.0.1", PROTO_UDP, udp(1, 8473)), PASS);
	OUT("multicast", l4_4(ME4, "239.1.1.1", PROTO_UDP, udp(1, 2)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("short UDP", l4_4(ME4, "10.0.0.9", PROTO_UDP, (struct frame){ .length = 7 }), WEIR_REASON_L4_HEADER);
	OUT("short SCTP", l4_4(ME4, "10.0.0.9", PROTO_SCTP, udp(1, 2)), WEIR_REASON_L4_HEADER);
}

static void link_control(void)
{
	struct frame f;

	OUT("NS from ::", link6("::", "ff02::1:ff00:5", neighbour(135, ME6), 255), PASS);
	OUT("NS from link-local", link6("fe80::5", "ff02::1:ff00:5", neighbour(135, "fd00::9"), 255), PASS);
	OUT("NS with hop limit 64", link6(ME6, "ff02::1", neighbour(135, ME6), 64), WEIR_REASON_NEIGHBOUR_DISCOVERY);
	OUT("NS from another's address", link6("fd00::6", "ff02::1", neighbour(135, ME6), 255), WEIR_REASON_SOURCE_ADDRESS);
	OUT("NA for itself", link6(ME6, "fe80::1", neighbour(136, ME6), 255), PASS);
	OUT("NA for another", link6(ME6, "fe80::1", neighbour(136, "fd00::9"), 255), WEIR_REASON_NEIGHBOUR_DISCOVERY);
	OUT("NA from ::", link6("::", "ff02::1", neighbour(136, ME6), 255), WEIR_REASON_SOURCE_ADDRESS);
	OUT("router advertisement", link6("fe80::5", "ff02::1", neighbour(134, ME6), 255), WEIR_REASON_ROUTER_CONTROL);
	IN("router advertisement to it", link6("fe80::1", "ff02::1", neighbour(134, ME6), 255), PASS);
	IN("NS to its link-local", link6("fe80::1", "fe80::5", neighbour(135, ME6), 255), PASS);
	IN("NS to another", link6("fe80::1", "fd00::6", neighbour(135, ME6), 255), WEIR_REASON_NOT_FOR_ENDPOINT);
	OUT("MLD report", link6("::", "ff02::16", icmp(143, 0, NULL), 1), PASS);
	OUT("MLD with hop limit 2", link6("::", "ff02::16", icmp(143, 0, NULL), 2), WEIR_REASON_NEIGHBOUR_DISCOVERY);
	f = neighbour(135, ME6);
	f.length = 23;
	OUT("short NS", link6(ME6, "ff02::1", f, 255), WEIR_REASON_NEIGHBOUR_DISCOVERY);
	f.length = 3;
	OUT("three bytes of ICMPv6", link6(ME6, "ff02::1", f, 255), WEIR_REASON_L4_HEADER);
}

static void policy(void)
{
	OUT("friend", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(2000, 80, SYN)), PASS);
	OUT("friend by prefix", l4_4(ME4, "192.0.2.77", PROTO_TCP, tcp(2000, 80, SYN)), PASS);
	OUT("foe", l4_4(ME4, "10.0.0.11", PROTO_TCP, tcp(2000, 80, SYN)), WEIR_REASON_POLICY_DENY);
	OUT("world", l4_4(ME4, "198.51.100.1", PROTO_TCP, tcp(2000, 80, SYN)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("no peer", l4_6(ME6, "fd00::77", PROTO_TCP, tcp(2000, 80, SYN)), WEIR_REASON_NO_VERDICT);
	OUT("IPv6 world", l4_6(ME6, "2001:db8::1", PROTO_TCP, tcp(2000, 80, SYN)), WEIR_REASON_POLICY_DEFAULT_DENY);
	IN_FROM_HOST("host with any address", l4_4("198.51.100.1", ME4, PROTO_TCP, tcp(2000, 80, SYN)), PASS);
	IN("a node's address, forwarded", l4_4("10.0.0.1", ME4, PROTO_TCP, tcp(2001, 80, SYN)), WEIR_REASON_POLICY_DENY);
	OUT("table: a port", l4_4(ME4, "10.0.0.10", PROTO_TCP, tcp(2000, 80, SYN)), PASS);
	OUT("table: first of a port prefix", l4_4(ME4, "10.0.0.10", PROTO_TCP, tcp(2000, 8080, SYN)), PASS);
	OUT("table: last of a port prefix", l4_4(ME4, "10.0.0.10", PROTO_TCP, tcp(2000, 8095, SYN)), PASS);
	OUT("table: a longer match", l4_4(ME4, "10.0.0.10", PROTO_TCP, tcp(2000, 8081, SYN)), WEIR_REASON_POLICY_DENY);
	OUT("table: default row", l4_4(ME4, "10.0.0.10", PROTO_TCP, tcp(2000, 8096, SYN)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("table: any port of a protocol", l4_4(ME4, "10.0.0.10", PROTO_UDP, udp(2000, 9)), PASS);
	OUT("table: a table in a table", l4_4(ME4, "10.0.0.10", PROTO_SCTP, tcp(2000, 7, 0)), WEIR_REASON_NO_VERDICT);
	OUT("peers too short", l4_4(ME4, "10.0.0.13", PROTO_TCP, tcp(2000, 80, SYN)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("another protocol", l4_4(ME4, "10.0.0.9", PROTO_ESP, udp(0, 0)), PASS);
	IN("its reply", l4_4("10.0.0.9", ME4, PROTO_ESP, udp(0, 0)), PASS);
}

static void flows(void)
{
	struct frame request, quoted;
	int young, old;

	OUT("SYN", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(3000, 80, SYN)), PASS);
	IN("SYN-ACK", l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 3000, SYN | ACK)), PASS);
	young = entries("conntrack4_new"), old = entries("conntrack4");
	OUT("ACK", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(3000, 80, ACK)), PASS);
	REQUIRE("the third packet moves the flow",
		entries("conntrack4_new") == young - 1 && entries("conntrack4") == old + 1);
	IN("SYN against the flow", l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 3000, SYN)), WEIR_REASON_POLICY_DEFAULT_DENY);
	IN("RST", l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 3000, RST)), PASS);
	IN("data behind the RST", l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 3000, ACK)), PASS);
	IN("another port", l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 3001, ACK)), WEIR_REASON_POLICY_DEFAULT_DENY);

	OUT("midstream", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(3002, 80, ACK)), PASS);
	IN("against midstream", l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 3002, ACK)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("midstream again", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(3002, 80, ACK)), PASS);
	OUT("a new connection on its ports", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(3002, 80, SYN)), PASS);
	IN("is no midstream", l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 3002, SYN | ACK)), PASS);

	IN("unasked UDP", l4_4("10.0.0.9", ME4, PROTO_UDP, udp(53, 3000)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("UDP", l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(3000, 53)), PASS);
	IN("UDP answer", l4_4("10.0.0.9", ME4, PROTO_UDP, udp(53, 3000)), PASS);

	IN("unasked echo reply", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(0, 7, NULL)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("echo", l4_4(ME4, "10.0.0.9", PROTO_ICMP, icmp(8, 7, NULL)), PASS);
	IN("echo reply", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(0, 7, NULL)), PASS);
	IN("echo reply of another", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(0, 8, NULL)), WEIR_REASON_POLICY_DEFAULT_DENY);
	IN("echo back", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(8, 7, NULL)), WEIR_REASON_POLICY_DEFAULT_DENY);
	young = entries("conntrack4_new");
	OUT("echo reply that policy allows", l4_4(ME4, "10.0.0.9", PROTO_ICMP, icmp(0, 11, NULL)), PASS);
	REQUIRE("is no flow", entries("conntrack4_new") == young);
	IN("and opens nothing", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(0, 11, NULL)), WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("echo by table", l4_4(ME4, "10.0.0.10", PROTO_ICMP, icmp(8, 7, NULL)), PASS);
	OUT("ICMPv6 echo", l4_6(ME6, "fd00::9", PROTO_ICMPV6, icmp(128, 7, NULL)), PASS);
	IN("ICMPv6 echo reply", l4_6("fd00::9", ME6, PROTO_ICMPV6, icmp(129, 7, NULL)), PASS);

	/* Caller may call and is not called: one identifier in both directions. */
	IN("caller's echo", l4_4("10.0.0.12", ME4, PROTO_ICMP, icmp(8, 9, NULL)), PASS);
	OUT("reply to the caller", l4_4(ME4, "10.0.0.12", PROTO_ICMP, icmp(0, 9, NULL)), PASS);
	OUT("echo to the caller", l4_4(ME4, "10.0.0.12", PROTO_ICMP, icmp(8, 9, NULL)), WEIR_REASON_POLICY_DEFAULT_DENY);

	quoted = l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(3000, 53));
	request = icmp(3, 0, &quoted);
	IN("error about a flow, from a router", l4_4("198.51.100.9", ME4, PROTO_ICMP, request), PASS);
	quoted = l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(3005, 53));
	IN("error about no flow", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(3, 0, &quoted)), WEIR_REASON_POLICY_DEFAULT_DENY);
	quoted = l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(3000, 53));
	quoted.bytes[20] = 0x20;
	IN("error about a fragment", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(3, 0, &quoted)),
	   WEIR_REASON_POLICY_DEFAULT_DENY);
	quoted.bytes[20] = 0x40, quoted.length = 14 + 23;
	IN("error cut in the ports", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(3, 0, &quoted)),
	   WEIR_REASON_POLICY_DEFAULT_DENY);
	quoted = l4_4("10.0.0.9", ME4, PROTO_UDP, udp(53, 3000));
	IN("error about a packet to it", l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(3, 0, &quoted)),
	   WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("its error", l4_4(ME4, "10.0.0.9", PROTO_ICMP, icmp(3, 0, &quoted)), PASS);
	OUT("its error to somebody else", l4_4(ME4, "10.0.0.11", PROTO_ICMP, icmp(3, 0, &quoted)), WEIR_REASON_POLICY_DENY);
	quoted = l4_6(ME6, "fd00::9", PROTO_ICMPV6, icmp(128, 7, NULL));
	IN("packet too big", l4_6("2001:db8::1", ME6, PROTO_ICMPV6, icmp(2, 0, &quoted)), PASS);
	quoted = extended(PROTO_ICMPV6, 0, 0, &(struct frame){ .bytes = { 128, 0, 0, 0, 0, 7 }, .length = 8 });
	quoted = l4_6(ME6, "fd00::9", 60, quoted);
	IN("packet too big behind options", l4_6("2001:db8::1", ME6, PROTO_ICMPV6, icmp(2, 0, &quoted)), PASS);
}

/* Slot 1 is friendly, slot 0 is not. */
static void revisions(void)
{
	struct frame out = l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(4000, 80, ACK));
	struct frame back = l4_4("10.0.0.9", ME4, PROTO_TCP, tcp(80, 4000, ACK));
	struct frame call = l4_6("fd00::c", ME6, PROTO_UDP, udp(4000, 53));
	struct frame answer = l4_6(ME6, "fd00::c", PROTO_UDP, udp(53, 4000));
	struct frame ping = l4_4(ME4, "10.0.0.9", PROTO_ICMP, icmp(8, 4000, NULL));
	struct frame pong = l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(0, 4000, NULL));
	struct frame error = l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(3, 0, &out));
	struct frame host = l4_4("198.51.100.1", ME4, PROTO_TCP, tcp(4000, 80, ACK));
	struct frame to_host = l4_4(ME4, "198.51.100.1", PROTO_TCP, tcp(80, 4000, ACK));
	unsigned long long counted;

	commit(1);
	OUT("open", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(4000, 80, SYN)), PASS);
	IN("open", back, PASS);
	OUT("open", out, PASS);
	IN("call", call, PASS);
	OUT("answer", answer, PASS);
	OUT("ping", ping, PASS);
	IN_FROM_HOST("host", l4_4("198.51.100.1", ME4, PROTO_TCP, tcp(4000, 80, SYN)), PASS);
	commit(3);
	IN("an error about a stale flow is judged by itself", error, WEIR_REASON_POLICY_DEFAULT_DENY);
	counted = rule_packets(1, 1);
	IN("a reply renews a stale flow in its originator's direction", back, PASS);
	REQUIRE("the originator's rule is counted for the reply", rule_packets(1, 1) == counted + 1);
	IN("an error about the renewed flow", error, PASS);
	OUT("an answer renews a stale call", answer, PASS);
	IN("a pong renews a stale ping", pong, PASS);
	OUT("to the host by its class, not its address", to_host, PASS);
	IN_FROM_HOST("from the host", host, PASS);
	commit(4);
	counted = rule_packets(0, 2);
	IN("a reply of a flow that is denied now", back, WEIR_REASON_POLICY_DENY);
	REQUIRE("the denying rule is counted", rule_packets(0, 2) == counted + 1);
	IN("the entry is gone", back, WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("an answer to a call that is denied now", answer, WEIR_REASON_POLICY_DENY);
	OUT("the entry is gone", answer, WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("a ping that is denied now", ping, WEIR_REASON_POLICY_DENY);
	IN("its pong, by the ping's rules", pong, WEIR_REASON_POLICY_DENY);
	IN("the entry is gone", pong, WEIR_REASON_POLICY_DEFAULT_DENY);
	commit(5);
	OUT("allowed again, from the middle", out, PASS);
	IN("its reply is judged by itself", back, WEIR_REASON_POLICY_DEFAULT_DENY);
}

/* An entry that is not this flow's, or whose time has passed, is none. */
static void entries_that_are_not(void)
{
	const weir_u32 secret[] = WEIR_KEY_CHECK_WORDS;
	struct weir_flow4 key = { .owner = IFINDEX << WEIR_OWNER_INTERFACE_SHIFT | PROTO_UDP };
	struct frame back = l4_4("10.0.0.9", ME4, PROTO_UDP, udp(53, 5000));
	struct weir_conntrack value;
	weir_u64 sum = 0;

	inet_pton(AF_INET, "10.0.0.9", key.remote);
	inet_pton(AF_INET, ME4, key.local);
	key.remote_port_be = htons(53), key.local_port_be = htons(5000);
	OUT("UDP", l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(5000, 53)), PASS);
	if (bpf_map_lookup_elem(map_fd("conntrack4_new"), &key, &value))
		die("the flow's key");
	REQUIRE("the entry says who, what and why",
		value.packets[WEIR_EGRESS] == 1 && value.bytes[WEIR_EGRESS] == 42 && !value.packets[WEIR_INGRESS] && value.revision == 5 && value.direction == WEIR_EGRESS &&
			value.action == action(WEIR_ACTION_ALLOW, 1) && !value.flags && !value.peer_class);
	for (int i = 0; i < 4; i += 2)
		sum += (weir_u64)(((weir_u32 *)&key)[i] + secret[i]) * (weir_u32)(((weir_u32 *)&key)[i + 1] + secret[i + 1]);
	REQUIRE("key_check is NH over the words", value.key_check == (weir_u32)(sum ^ sum >> 32));
	value.key_check ^= 1;
	put(map_fd("conntrack4_new"), &key, &value);
	IN("another key's entry", back, WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("it is replaced", l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(5000, 53)), PASS);
	IN("and counts", back, PASS);
	value.key_check ^= 1;
	value.expires = 0;
	put(map_fd("conntrack4_new"), &key, &value);
	IN("an entry past its time", back, WEIR_REASON_POLICY_DEFAULT_DENY);
	OUT("it is replaced", l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(5000, 53)), PASS);
	IN("and counts", back, PASS);
}

static struct weir_event last_event;
static int on_event(void *context, void *data, size_t size)
{
	(void)context;
	if (size == sizeof(last_event))
		last_event = *(struct weir_event *)data;
	return 0;
}

static weir_u32 tick(void)
{
	struct frame f = arp(ME4);
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = f.bytes, .data_size_in = f.length);

	if (bpf_prog_test_run_opts(bpf_program__fd(bpf_object__find_program_by_name(object, "weir_read_tick")), &options))
		die("tick");
	return options.retval;
}

static void watch(weir_u32 kinds, weir_u32 one_in, weir_u32 per_tick)
{
	struct weir_monitor reader = { .until = kinds ? ~0u : 0, .kinds = kinds, .one_in = one_in, .per_tick = per_tick };
	weir_u32 zero = 0;

	put(map_fd("monitor"), &zero, &reader);
}

/* Audit mode of the node: what policy refuses passes and is reported; what is malformed does not. */
static void audit(void)
{
	struct ring_buffer *ring = ring_buffer__new(map_fd("events"), on_event, NULL, NULL);
	struct frame foe = l4_4(ME4, "10.0.0.11", PROTO_TCP, tcp(6100, 81, SYN));
	struct weir_control word = { .word = 7 | 1ull << WEIR_CONTROL_AUDIT_BIT };
	weir_u32 zero = 0;

	if (!ring)
		die("ring");
	watch(WEIR_EVENT_DROPS | WEIR_EVENT_ALLOWS, 0, 0);
	put(map_fd("control"), &zero, &word);
	OUT("a foe in audit mode", foe, PASS);
	REQUIRE("is reported", ring_buffer__consume(ring) == 1 && last_event.reason == WEIR_REASON_POLICY_DENY &&
				       last_event.flags == WEIR_EVENT_AUDIT);
	IN("its answer", l4_4("10.0.0.11", ME4, PROTO_TCP, tcp(81, 6100, SYN | ACK)), PASS);
	REQUIRE("is of a known flow", ring_buffer__consume(ring) == 0);
	OUT("another's address", l4_4("10.0.0.6", "10.0.0.9", PROTO_UDP, udp(1, 2)), WEIR_REASON_SOURCE_ADDRESS);
	commit(9);
	OUT("after audit mode", l4_4(ME4, "10.0.0.11", PROTO_TCP, tcp(6100, 81, ACK)), WEIR_REASON_POLICY_DENY);
	watch(0, 0, 0);
	ring_buffer__free(ring);
}

/* Slot 1 is friendly, slot 0 is not: past its time, revision 11 is read as 12. */
static void confirmation(void)
{
	struct weir_control word = { .word = 11, .confirm = 11ull << WEIR_CONFIRM_REVISION_SHIFT | (tick() + 100) };
	struct frame friend = l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(6200, 53));
	weir_u32 zero = 0;

	put(map_fd("control"), &zero, &word);
	OUT("before the deadline", friend, PASS);
	word.confirm = 11ull << WEIR_CONFIRM_REVISION_SHIFT | (tick() - 1);
	put(map_fd("control"), &zero, &word);
	OUT("past the deadline", friend, WEIR_REASON_POLICY_DENY);
	word.confirm = 10ull << WEIR_CONFIRM_REVISION_SHIFT | (tick() - 1);
	put(map_fd("control"), &zero, &word);
	OUT("another revision's deadline", friend, PASS);
	commit(13);
}

/* What is of another node comes through a tunnel. The frames of IN come in by the loopback, whose index is 1. */
static void encryption(void)
{
	struct weir_control word = { .word = 15, .tunnels = { 1, 0 } };
	struct frame call = l4_4("10.0.0.14", ME4, PROTO_TCP, tcp(6300, 80, SYN));
	struct frame answer = l4_4(ME4, "10.0.0.14", PROTO_TCP, tcp(80, 6300, SYN | ACK));
	struct frame ack = l4_4("10.0.0.14", ME4, PROTO_TCP, tcp(6300, 80, ACK));
	weir_u32 zero = 0;

	put(map_fd("control"), &zero, &word);
	IN("through the tunnel", call, PASS);
	IN_FROM_HOST("in clear", call, WEIR_REASON_UNENCRYPTED);
	OUT("no route leads to the tunnel", answer, WEIR_REASON_UNENCRYPTED);
	IN("the flow goes on", ack, PASS);
	word.tunnels[0] = WEIR_TUNNEL_ABSENT;
	put(map_fd("control"), &zero, &word);
	IN("the tunnel is gone", ack, WEIR_REASON_UNENCRYPTED);
	word.tunnels[1] = 1;
	put(map_fd("control"), &zero, &word);
	IN("through the second lane", ack, PASS);
	OUT("others in clear", l4_4(ME4, "10.0.0.9", PROTO_TCP, tcp(6301, 80, SYN)), PASS);
	commit(17);
	IN_FROM_HOST("nothing is to be encrypted", ack, PASS);
}

/* The node's record: on a device, and for what a local endpoint says to the node. */
static void host_firewall(void)
{
	int endpoints = fresh_inner("endpoints", 4);
	struct weir_endpoint host = { .id = 2, .egress_row = 0, .ingress_row = INGRESS_ROW, .flags = WEIR_ENDPOINT_HOST };
	weir_u32 slot = 1, ifindex = IFINDEX;

	put(endpoints, &ifindex, &host);
	publish("endpoints", slot, endpoints);
	IN("to the node, from a caller", l4_4("10.0.0.12", "10.0.0.1", PROTO_TCP, tcp(7000, 80, SYN)), PASS);
	IN("to the node, from another", l4_4("10.0.0.9", "10.0.0.1", PROTO_TCP, tcp(7000, 80, SYN)),
	   WEIR_REASON_POLICY_DEFAULT_DENY);
	IN("through the node", l4_4("10.0.0.9", "10.0.0.10", PROTO_TCP, tcp(7000, 80, SYN)), PASS);
	IN("a fragment through the node", piece("10.0.0.10", PROTO_UDP, 9, 64, false, udp(1, 2)), PASS);
	IN("a VLAN's frame", tagged(0x8100, 7, arp(ME4)), PASS);
	IN("from a link-local address", l4_4("169.254.169.254", "10.0.0.1", PROTO_TCP, tcp(80, 7000, SYN | ACK)),
	   WEIR_REASON_POLICY_DEFAULT_DENY);
	expect(__LINE__, "from the node to a friend", WEIR_EGRESS, l4_4("10.0.0.1", "10.0.0.9", PROTO_TCP, tcp(7001, 80, SYN)), 0, PASS);
	IN("the friend's answer", l4_4("10.0.0.9", "10.0.0.1", PROTO_TCP, tcp(80, 7001, SYN | ACK)), PASS);
	expect(__LINE__, "from the node to a foe", WEIR_EGRESS, l4_4("10.0.0.1", "10.0.0.11", PROTO_TCP, tcp(7001, 80, SYN)), 0,
	       WEIR_REASON_POLICY_DENY);
	OUT("through the node to a foe", l4_4("10.0.0.10", "10.0.0.11", PROTO_TCP, tcp(7001, 80, SYN)), PASS);
	OUT("masqueraded to a foe", l4_4("10.0.0.1", "10.0.0.11", PROTO_TCP, tcp(7002, 80, SYN)), PASS);
	IN("the foe's answer to it", l4_4("10.0.0.11", "10.0.0.1", PROTO_TCP, tcp(80, 7002, SYN | ACK)), PASS);
	IN("the foe's own call", l4_4("10.0.0.11", "10.0.0.1", PROTO_TCP, tcp(80, 7003, SYN)), WEIR_REASON_POLICY_DEFAULT_DENY);
	IN("an advertisement of a router's", link6("fe80::1", "ff02::1", neighbour(134, ME6), 255), PASS);
	expect(__LINE__, "DHCP", WEIR_EGRESS, l4_4("0.0.0.0", "255.255.255.255", PROTO_UDP, udp(68, 67)), 0, PASS);

	/* The endpoint again, beside a node whose ingress refuses everybody but callers. */
	fill(1, true);
	commit(15);
	OUT("an endpoint to a node without a policy", l4_4(ME4, "10.0.0.1", PROTO_TCP, tcp(7100, 80, SYN)), PASS);
	endpoints = fresh_inner("endpoints", 4);
	ifindex = 0;
	put(endpoints, &ifindex, &host);
	struct weir_endpoint me = { .id = 1, .ingress_row = INGRESS_ROW, .flags = WEIR_ENDPOINT_HAS_IPV4 };
	inet_pton(AF_INET, ME4, me.ipv4);
	ifindex = IFINDEX;
	put(endpoints, &ifindex, &me);
	publish("endpoints", slot, endpoints);
	commit(17);
	OUT("an endpoint to a node that refuses it", l4_4(ME4, "10.0.0.1", PROTO_TCP, tcp(7101, 80, SYN)),
	    WEIR_REASON_POLICY_DEFAULT_DENY);
	IN_FROM_HOST("the node to an endpoint that it may not call", l4_4("10.0.0.1", ME4, PROTO_TCP, tcp(7101, 80, SYN)),
		     WEIR_REASON_POLICY_DEFAULT_DENY);
	fill(1, true);
	commit(19);
}

static void reports(void)
{
	struct ring_buffer *ring = ring_buffer__new(map_fd("events"), on_event, NULL, NULL);
	struct frame foe = l4_4(ME4, "10.0.0.11", PROTO_TCP, tcp(6000, 81, SYN));
	weir_u8 address[4];
	int i;

	if (!ring)
		die("ring");
	OUT("foe, and nobody watches", foe, WEIR_REASON_POLICY_DENY);
	REQUIRE("no event", ring_buffer__consume(ring) == 0);
	watch(WEIR_EVENT_DROPS, 0, 0);
	OUT("foe", foe, WEIR_REASON_POLICY_DENY);
	memset(&last_event, 0, sizeof(last_event));
	REQUIRE("one event for a drop", ring_buffer__consume(ring) == 1);
	inet_pton(AF_INET, "10.0.0.11", address);
	REQUIRE("the event says what happened",
		last_event.reason == WEIR_REASON_POLICY_DENY && last_event.group == FOE && last_event.identity == FOE + 100 &&
			last_event.action == action(WEIR_ACTION_DENY, 2) && last_event.source_port_be == htons(6000) &&
			last_event.destination_port_be == htons(81) && last_event.family == 4 &&
			last_event.protocol == PROTO_TCP && !memcmp(last_event.destination + 12, address, 4) &&
			last_event.length == foe.length && last_event.ifindex == IFINDEX && last_event.time_ns);
	IN("another's frame", l4_4("10.0.0.9", "10.0.0.6", PROTO_UDP, udp(1, 2)), WEIR_REASON_NOT_FOR_ENDPOINT);
	OUT("allowed", l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(6000, 53)), PASS);
	REQUIRE("no event for either", ring_buffer__consume(ring) == 0);
	watch(WEIR_EVENT_ALLOWS, 0, 0);
	OUT("foe, and only allows are watched", foe, WEIR_REASON_POLICY_DENY);
	OUT("allowed", l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(6001, 53)), PASS);
	REQUIRE("an event for the allow", ring_buffer__consume(ring) == 1 && !last_event.reason);
	watch(WEIR_EVENT_DROPS, 10, 0);
	for (int i = 0; i < 100; i++)
		run(WEIR_EGRESS, foe, FORWARDED);
	REQUIRE("one in ten", ring_buffer__consume(ring) == 10);
	REQUIRE("which says how many it stands for", last_event.suppressed == 9);
	watch(WEIR_EVENT_DROPS, 0, 5);
	for (weir_u32 start = tick(); tick() == start;) /* what was made before counts until the tick ends */
		;
	for (int i = 0; i < 100; i++)
		run(WEIR_EGRESS, foe, FORWARDED);
	i = ring_buffer__consume(ring);
	REQUIRE("five in a second", i >= 4 && i <= 10);
	watch(WEIR_EVENT_DROPS, 0, 0);
	for (i = 0; i < 5000; i++)
		if (run(WEIR_EGRESS, foe, FORWARDED) != WEIR_REASON_POLICY_DENY)
			return require(__LINE__, "a full ring changes the verdict", false);
	REQUIRE("a full ring holds what fits", ring_buffer__consume(ring) > 2500);
	watch(0, 0, 0);
	ring_buffer__free(ring);
}

static void remove_inner(const char *name)
{
	weir_u32 slot = 1;

	if (bpf_map_delete_elem(map_fd(name), &slot))
		die(name);
}

/* A slot without one of its maps has no answer, not a wider one. */
static void missing_maps(void)
{
	remove_inner("verdicts");
	OUT("no verdicts", l4_4(ME4, "10.0.0.10", PROTO_TCP, tcp(7000, 81, SYN)), WEIR_REASON_NO_VERDICT);
	remove_inner("ipcache4");
	OUT("no addresses", l4_4(ME4, "192.0.2.77", PROTO_TCP, tcp(7000, 80, SYN)), WEIR_REASON_NO_VERDICT);
	remove_inner("cidrs6");
	OUT("no prefixes", l4_6(ME6, "2001:db8::1", PROTO_TCP, tcp(7000, 80, SYN)), WEIR_REASON_NO_VERDICT);
	remove_inner("peers");
	OUT("no rows", l4_6(ME6, "fd00::9", PROTO_TCP, tcp(7000, 80, SYN)), WEIR_REASON_NO_VERDICT);
	IN_FROM_HOST("no rows for the host", l4_4("198.51.100.1", ME4, PROTO_TCP, tcp(7000, 80, SYN)),
		     WEIR_REASON_NO_VERDICT);
}

static void unknown_interface(void)
{
	weir_u32 slot = 1, ifindex = 77;
	int fd = fresh_inner("endpoints", 1);
	struct weir_endpoint other = { .id = 1 };

	put(fd, &ifindex, &other);
	publish("endpoints", slot, fd);
	OUT("an interface that policy does not know", l4_4("1.2.3.4", "5.6.7.8", PROTO_UDP, udp(1, 2)), PASS);
}

/* Whatever arrives, one answer and one count. The seed is fixed: a failure can be had again. */
static void mutations(void)
{
	struct frame inner = l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(3000, 53));
	struct frame tail = tcp(1000, 80, SYN), seeds[6];
	unsigned int random = 1;

	tail = extended(PROTO_TCP, 0, 0, &tail), tail = extended(60, 0, 0, &tail);
	seeds[0] = ipv4(ME4, "10.0.0.9", PROTO_TCP, &(struct frame){ .bytes = { [12] = 0x50 }, .length = 20 },
			"\x94\x04\0\0\1\1\1\0", 8);
	seeds[1] = l4_6(ME6, "fd00::9", 43, tail);
	seeds[2] = link6(ME6, "fe80::1", neighbour(136, ME6), 255);
	seeds[3] = l4_4("10.0.0.9", ME4, PROTO_ICMP, icmp(3, 0, &inner));
	seeds[4] = arp(ME4);
	seeds[5] = l4_4(ME4, "10.0.0.10", PROTO_UDP, udp(3000, 53));
	for (int i = 0; i < 20000; i++) {
		struct frame f = seeds[i % 6];
		int reason;

		for (int changes = 0; changes < 1 + i % 4; changes++) {
			random = random * 1664525 + 1013904223;
			f.bytes[12 + (random >> 8) % (f.length - 12)] = random >> 24;
		}
		reason = run(i / 6 % 2, f, i / 12 % 2);
		if (reason == NEITHER || reason == MISCOUNTED)
			return require(__LINE__, "a mutated frame has no answer", false);
	}
	require(__LINE__, "every mutated frame has one answer", true);
}

static void every_option_loads(const char *path)
{
	for (weir_u32 options = 0; options < 2 * WEIR_OPTION_DHCP; options++) {
		struct bpf_object *other = bpf_object__open_file(path, NULL);
		struct bpf_map *map, *rodata = NULL;

		if (!other)
			die("open");
		bpf_object__for_each_map(map, other)
			if (strstr(bpf_map__name(map), ".rodata"))
				rodata = map;
		weir_u32 constants[2] = { options, WEIR_TICK_SHIFT_DEFAULT };
		if (!rodata || bpf_map__set_initial_value(rodata, constants, sizeof(constants)))
			die("options");
		require(__LINE__, "an option that the verifier refuses", !bpf_object__load(other));
		bpf_object__close(other);
	}
}

static double nanoseconds(int direction, struct frame f, int repeat)
{
	struct __sk_buff context = { .ifindex = IFINDEX, .ingress_ifindex = 1 };
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = f.bytes, .data_size_in = f.length, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = repeat);

	if (bpf_prog_test_run_opts(programs[direction], &options))
		die("test run");
	return options.duration;
}

/* A rough idea, in nanoseconds per packet; the figures that count come from interleaved rounds. */
static void timings(void)
{
	const struct {
		const char *what;
		int direction;
		struct frame frame;
	} runs[] = {
		{ "ARP", WEIR_EGRESS, arp(ME4) },
		{ "another's frame", WEIR_INGRESS, l4_4("10.0.0.9", "10.0.0.6", PROTO_UDP, udp(1, 2)) },
		{ "young flow's reply", WEIR_INGRESS, l4_4("10.0.0.9", ME4, PROTO_UDP, udp(53, 5000)) },
		{ "established", WEIR_EGRESS, l4_4(ME4, "10.0.0.9", PROTO_UDP, udp(5000, 53)) },
		{ "denied by group", WEIR_EGRESS, l4_4(ME4, "10.0.0.11", PROTO_TCP, tcp(6000, 81, SYN)) },
		{ "denied by prefix", WEIR_EGRESS, l4_4(ME4, "198.51.100.1", PROTO_TCP, tcp(6000, 81, SYN)) },
		{ "denied by table", WEIR_EGRESS, l4_4(ME4, "10.0.0.10", PROTO_TCP, tcp(6000, 8081, SYN)) },
	};

	for (unsigned int i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		printf("%s %.0f ns%s", runs[i].what, nanoseconds(runs[i].direction, runs[i].frame, 1000000),
		       i + 1 < sizeof(runs) / sizeof(runs[0]) ? ", " : "\n");
}

int main(int count, char **arguments)
{
	static const char *names[2] = { "weir_from_endpoint", "weir_to_endpoint" };
	struct utsname kernel;

	if (count != 2)
		return fprintf(stderr, "usage: smoke weir.bpf.o\n"), 2;
	uname(&kernel);
	object = bpf_object__open_file(arguments[1], NULL);
	if (!object)
		die("open");
	remember_templates();
	if (bpf_object__load(object))
		die("load");
	for (int direction = 0; direction < 2; direction++) {
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);

		programs[direction] = bpf_program__fd(bpf_object__find_program_by_name(object, names[direction]));
		if (programs[direction] < 0 || bpf_obj_get_info_by_fd(programs[direction], &info, &size))
			die(names[direction]);
		printf("%s %s: verifier read %u instructions, %u bytes translated, %u jited\n", kernel.release,
		       names[direction], info.verified_insns, info.xlated_prog_len, info.jited_prog_len);
	}
	no_policy();
	fill(1, true);
	fill(0, false);
	link_layer();
	ip_headers();
	addresses();
	link_control();
	fragments();
	dhcp(WEIR_OPTION_DEFAULTS);
	policy();
	flows();
	revisions();
	entries_that_are_not();
	reports();
	audit();
	confirmation();
	encryption();
	host_firewall();
	timings();
	mutations();
	missing_maps();
	unknown_interface();
	every_option_loads(arguments[1]);
	printf("%d checks, %d failures, %d frames refused by the kernel's test run\n", checks, failures, refused);
	return failures != 0;
}
