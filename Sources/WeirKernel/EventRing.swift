internal import CLibbpf
internal import Glibc
internal import SystemPackage
package import WeirABI
internal import WeirImage

/// The consumer's side of `events`. One consumer at a time: the position is the map's.
@safe package struct EventRing: ~Copyable {
    private let ring: OpaquePointer
    private let sink: Sink

    /// Where libbpf's callback leaves the records; a class to have an address.
    private final class Sink {
        var events: [weir_event] = []
        /// Records of another size: another ABI wrote them.
        var foreign = 0
        /// Of one call, so that a flood does not keep it for ever.
        static let most = 8192
    }

    package init(_ events: KernelMap) throws(KernelError) {
        let sink = Sink()
        // SAFETY: `sink` lives as long as the ring: both are owned by this value, and the ring is freed first.
        let ring = unsafe ring_buffer__new(
            events.descriptor.raw,
            { context, data, size in
                guard let context = unsafe context, let data = unsafe data else { return 0 }
                let sink = unsafe Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue()
                let bytes = unsafe Array(UnsafeRawBufferPointer(start: data, count: size))
                if let event = weir_event(abiBytes: bytes) { sink.events.append(event) } else { sink.foreign += 1 }
                // The record is consumed either way.
                return sink.events.count < Sink.most ? 0 : -ECANCELED
            }, Unmanaged.passUnretained(sink).toOpaque(), nil)
        guard let ring = unsafe ring else {
            throw KernelError(
                "consume ring buffer", "'\(events.schema.name)'", errno: Errno(rawValue: weir_last_errno()))
        }
        unsafe self.ring = ring
        self.sink = sink
    }

    // SAFETY: this value is the ring's only owner.
    deinit { unsafe ring_buffer__free(ring) }

    /// What has been reported since the last time; where that is very much, its first part.
    package func drain() throws(KernelError) -> [weir_event] {
        // SAFETY: the ring is open; the callback writes to `sink` only during this call.
        let result = unsafe ring_buffer__consume(ring)
        return try take(result)
    }

    /// Waits for events; nil means until there is one. Empty after the time, or when a signal came.
    package func wait(timeoutMilliseconds: Int32?) throws(KernelError) -> [weir_event] {
        // SAFETY: as `drain`.
        let result = unsafe ring_buffer__poll(ring, timeoutMilliseconds ?? -1)
        return result == -EINTR ? [] : try take(result)
    }

    private func take(_ result: Int32) throws(KernelError) -> [weir_event] {
        guard result >= 0 || result == -ECANCELED else { throw KernelError("read", "events", result: result) }
        defer { sink.events.removeAll(keepingCapacity: true) }
        guard sink.foreign == 0 else {
            throw KernelError(
                "read", "events", errno: .invalidArgument, hint: "\(sink.foreign) records of another ABI version")
        }
        return sink.events
    }
}
