// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The quarantine: drops and counts every packet of the hook that it is on, ARP and neighbour discovery included. It
 * knows no policy and shares no map with one, so it denies beside every version of the datapath and where there is none.
 * It is loaded once for each hook: that tells the directions apart. Every version of weir knows it by the names and the
 * shape below, so they never change.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "abi/weir_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, weir_u32);
	__type(value, struct weir_counter);
} weir_denied SEC(".maps");

SEC("tc")
int weir_quarantine(struct __sk_buff *skb)
{
	const weir_u32 first = 0;
	struct weir_counter *counter = bpf_map_lookup_elem(&weir_denied, &first);

	if (counter) {
		counter->packets++;
		counter->bytes += skb->len;
	}
	return TC_ACT_SHOT;
}

char weir_license[] SEC("license") = "Dual BSD/GPL";
