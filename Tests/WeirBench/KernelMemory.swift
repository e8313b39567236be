import Foundation
import Glibc

/// What the kernel holds for us beside page tables and caches.
enum KernelMemory {
    /// Slabs, per-CPU areas and vmalloc together, in bytes. Others' allocations are in it, so differences want repetition.
    static func used() throws -> Double {
        let fields: Set<Substring> = ["Slab:", "Percpu:", "VmallocUsed:"]
        let lines = try String(contentsOfFile: "/proc/meminfo", encoding: .utf8).split(separator: "\n")
        return lines.reduce(0) { sum, line in
            let words = line.split(separator: " ")
            return fields.contains(words[0]) ? sum + 1024 * (Double(words[1]) ?? 0) : sum
        }
    }

    /// What `make` makes the kernel hold until `release`, which waits for nothing: memory is given back after grace
    /// periods, in the background.
    static func growth<Held>(
        repetitions: Int, _ make: () throws -> Held, release: (consuming Held) throws -> Void = { _ in }
    ) throws -> Samples {
        var samples: [Double] = []
        for _ in 0..<repetitions {
            let before = try settled()
            let held = try make()
            samples.append(try settled() - before)
            try release(held)
        }
        return Samples(samples)
    }

    /// The figure when it has stopped to change by more than its noise.
    private static func settled() throws -> Double {
        var last = try used()
        for _ in 0..<20 {
            usleep(150_000)
            let current = try used()
            if abs(current - last) < 128 * 1024 { return current }
            last = current
        }
        return last
    }
}
