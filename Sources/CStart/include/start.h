/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Swift runtime reads from /proc, for a place that has none: an empty chroot, an initramfs. And how a run ends
 * on SIGINT, SIGTERM and SIGHUP: a handler may do so little that it is better written here.
 */
#ifndef WEIR_CSTART_H
#define WEIR_CSTART_H

/* An argument of the process, from 0, its name; NULL after the last. */
const char *weir_argument(int index);

/* The file that a signal which ends this run takes away first; NULL: none any more. -1: the path is too long. */
int weir_remove_at_signal(const char *path);

/* From now on a signal only interrupts what blocks, and a closed pipe is an error of write(2). */
void weir_await_signals(void);

/* The signal that came since; 0: none. */
int weir_awaited_signal(void);

#endif
