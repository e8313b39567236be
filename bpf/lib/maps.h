/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every map of the datapath. Names, types, sizes and flags are those of WeirMaps/Schemas.swift. */
#ifndef WEIR_MAPS_H
#define WEIR_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../abi/weir_abi.h"

/* The loader sets these before the verifier sees the programs: enum weir_option, and the length of a tick. */
const volatile weir_u32 weir_options = WEIR_OPTION_DEFAULTS;
const volatile weir_u32 weir_tick_shift = WEIR_TICK_SHIFT_DEFAULT;

/*
 * A map of which each slot has its own. The inner map is a template: the loader creates the
 * real ones with sizes from the image, which hash, LPM and BPF_F_INNER_MAP arrays permit.
 * Sizes, not types: Linux 6.1 refuses an inner map without BTF where its template has some, and
 * the loader's have none.
 */
#define WEIR_SLOT_MAP(map_name, map_type, flags, key_type, value_type) \
	struct {                                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);              \
		__uint(max_entries, WEIR_SLOT_COUNT);                  \
		__type(key, weir_u32);                                 \
		__array(values, struct {                               \
			__uint(type, map_type);                        \
			__uint(max_entries, 1);                        \
			__uint(map_flags, flags);                      \
			__uint(key_size, sizeof(key_type));            \
			__uint(value_size, sizeof(value_type));        \
		});                                                    \
	} map_name SEC(".maps")

WEIR_SLOT_MAP(endpoints, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, weir_u32, struct weir_endpoint);
WEIR_SLOT_MAP(ipcache4, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, struct weir_address4, struct weir_peer);
WEIR_SLOT_MAP(ipcache6, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, struct weir_address6, struct weir_peer);
WEIR_SLOT_MAP(cidrs4, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct weir_cidr4, struct weir_peer);
WEIR_SLOT_MAP(cidrs6, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct weir_cidr6, struct weir_peer);
WEIR_SLOT_MAP(peers, BPF_MAP_TYPE_ARRAY, BPF_F_INNER_MAP, weir_u32, struct weir_actions);
WEIR_SLOT_MAP(verdicts, BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, struct weir_verdict_key, weir_u32);

/*
 * Nobody calls this, so no program carries it; its parameter puts the layouts that no map
 * above names as a type into the object's BTF, where a test compares them with Swift's.
 */
struct weir_layouts {
	struct weir_endpoint endpoint;
	struct weir_actions actions;
	struct weir_peer peer;
	struct weir_address4 address4;
	struct weir_address6 address6;
	struct weir_cidr4 cidr4;
	struct weir_cidr6 cidr6;
	struct weir_verdict_key verdict_key;
	struct weir_counter counter;
	struct weir_event event;
};
int weir_describe_layouts(const struct weir_layouts *layouts)
{
	return !layouts;
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, weir_u32);
	__type(value, struct weir_control);
} control SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEIR_SLOT_COUNT);
	__type(key, weir_u32);
	__type(value, struct weir_slot_meta);
} slot_meta SEC(".maps");

#define WEIR_CONNTRACK_MAP(map_name, entries, key_type) \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);    \
		__uint(max_entries, entries);           \
		__type(key, key_type);                  \
		__type(value, struct weir_conntrack);   \
	} map_name SEC(".maps")

WEIR_CONNTRACK_MAP(conntrack4, WEIR_CONNTRACK4_ENTRIES, struct weir_flow4);
WEIR_CONNTRACK_MAP(conntrack4_new, WEIR_CONNTRACK4_NEW_ENTRIES, struct weir_flow4);
WEIR_CONNTRACK_MAP(conntrack6, WEIR_CONNTRACK6_ENTRIES, struct weir_flow6);
WEIR_CONNTRACK_MAP(conntrack6_new, WEIR_CONNTRACK6_NEW_ENTRIES, struct weir_flow6);

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WEIR_FRAGMENTS_ENTRIES);
	__type(key, struct weir_fragment_key);
	__type(value, struct weir_fragment);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, weir_u32);
	__type(value, struct weir_monitor);
} monitor SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, weir_u32);
	__type(value, struct weir_monitor_state);
} monitor_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEIR_DROPS_ENTRIES);
	__type(key, weir_u32);
	__type(value, struct weir_counter);
} drops SEC(".maps");

/* Not a map of each slot: the kernel looks up a map that it knows without a call. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEIR_SLOT_COUNT * WEIR_RULES_MAX);
	__type(key, weir_u32);
	__type(value, struct weir_counter);
} rule_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WEIR_EVENTS_BYTES);
} events SEC(".maps");

/*
 * No program reads it: the kernel waits for running programs after an update of an array of
 * maps, which is what the loader needs after a store to `control`.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, weir_u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 1);
		__uint(map_flags, BPF_F_INNER_MAP);
		__uint(key_size, sizeof(weir_u32));
		__uint(value_size, sizeof(weir_u32));
	});
} fence SEC(".maps");

/* NULL where the slot has no such map, which the compiler and the loader rule out. */
#define WEIR_SLOT_INNER(map_name, slot)                    \
	({                                                 \
		weir_u32 slot_ = (slot);                   \
		bpf_map_lookup_elem(&map_name, &slot_);    \
	})

/* NULL where the slot has no such map or the map no such key. */
#define WEIR_SLOT_LOOKUP(map_name, slot, key)                                    \
	({                                                                       \
		void *inner_ = WEIR_SLOT_INNER(map_name, slot);                  \
		inner_ ? bpf_map_lookup_elem(inner_, key) : (void *)0;           \
	})

#endif
