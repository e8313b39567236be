/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the Swift runtime reads from /proc, for a place that has none: an empty chroot, an initramfs.
 */
#ifndef WEIR_CSTART_H
#define WEIR_CSTART_H

/* An argument of the process, from 0, its name; NULL after the last. */
const char *weir_argument(int index);

#endif
