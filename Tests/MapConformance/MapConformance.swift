package import WeirMaps
internal import WeirTestSupport

/// A place where two kinds of map answered differently.
package struct ConformanceDifference: Error, Hashable, CustomStringConvertible {
    package var description: String
}

/// One operation of a random run.
package enum MapStep: Hashable, Sendable, CustomStringConvertible {
    case update(key: [UInt8], value: [UInt8], mode: UpdateMode)
    case lookup(key: [UInt8])
    case delete(key: [UInt8])

    package var description: String {
        switch self {
        case .update(let key, let value, let mode): "update \(key) \(value) \(mode)"
        case .lookup(let key): "lookup \(key)"
        case .delete(let key): "delete \(key)"
        }
    }
}

/// Random operations on two maps that must not be told apart.
package struct MapConformance: Hashable, Sendable, CustomStringConvertible {
    /// What happened to one map.
    private enum Answer: Hashable {
        case value([UInt8]?)
        case done
        case failed(MapError)
    }

    package var schema: MapSchema
    package var seed: UInt64
    package var stepCount: Int

    package init(_ schema: MapSchema, seed: UInt64, stepCount: Int = 600) {
        self.schema = schema
        self.seed = seed
        self.stepCount = stepCount
    }

    package var description: String {
        "\(schema.type.rawValue) key \(schema.keySize) value \(schema.valueSize) "
            + "entries \(schema.maxEntries), seed \(seed)"
    }

    /// Every type that has entries, each at its smallest, at odd sizes and with the datapath's layouts.
    package static func runs(seeds: Range<UInt64>) -> [MapConformance] {
        let shapes: [(MapType, [(key: Int, value: Int, entries: Int)])] = [
            (.hash, [(1, 1, 1), (3, 5, 4), (4, 36, 16), (16, 12, 64)]),
            (.lruHash, [(4, 4, 64), (44, 40, 256)]),
            (.lpmTrie, [(5, 1, 1), (5, 3, 8), (8, 12, 16), (12, 4, 64), (20, 12, 32)]),
            (.array, [(4, 1, 1), (4, 4, 7), (4, 16, 64)]),
            (.perCPUArray, [(4, 3, 2), (4, 16, 48)]),
        ]
        return shapes.flatMap { type, sizes in
            sizes.flatMap { size in
                seeds.map { seed in
                    MapConformance(
                        MapSchema(
                            name: "conformance", type: type, keySize: size.key, valueSize: size.value,
                            maxEntries: size.entries,
                            flags: type == .lpmTrie ? .noPreallocation : []), seed: seed)
                }
            }
        }
    }

    // MARK: Operations

    /// The operations, the same for every factory of so many CPUs.
    package func steps(cpuCount: Int) -> [MapStep] {
        var generator = SeededGenerator(seed: seed)
        let valueSize = schema.type == .perCPUArray ? (schema.valueSize + 7) / 8 * 8 * cpuCount : schema.valueSize
        var keys: [[UInt8]] = []
        // Twice as many keys as fit, so that the map is full half of the time.
        for _ in 0..<(schema.maxEntries * 2 + 2) { keys.append(newKey(&generator)) }
        return (0..<stepCount).map { _ in
            let key = generator.below(8) == 0 ? newKey(&generator) : keys[generator.below(keys.count)]
            switch generator.below(40) {
            case 0: return .lookup(key: wrongSize(key, &generator))
            case 1: return .delete(key: wrongSize(key, &generator))
            case 2: return .update(key: wrongSize(key, &generator), value: generator.bytes(valueSize), mode: .any)
            case 3: return .update(key: key, value: generator.bytes(valueSize + 1), mode: .any)
            case 4..<14: return .lookup(key: schema.type == .lpmTrie ? question(key, &generator) : key)
            case 14..<20: return .delete(key: key)
            case 20..<32: return .update(key: key, value: value(valueSize, cpuCount, &generator), mode: .any)
            case 32..<36: return .update(key: key, value: value(valueSize, cpuCount, &generator), mode: .noExist)
            default: return .update(key: key, value: value(valueSize, cpuCount, &generator), mode: .exist)
            }
        }
    }

    /// The padding behind a CPU's value is the kernel's business: always zero here.
    private func value(_ size: Int, _ cpuCount: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        guard schema.type == .perCPUArray else { return generator.bytes(size) }
        let one = size / cpuCount
        return (0..<cpuCount).flatMap { _ in
            generator.bytes(schema.valueSize) + Array(repeating: 0, count: one - schema.valueSize)
        }
    }

    private func wrongSize(_ key: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        generator.below(2) == 0 ? key + [0] : Array(key.dropLast())
    }

    private func newKey(_ generator: inout SeededGenerator) -> [UInt8] {
        switch schema.type {
        case .array, .perCPUArray:
            // Mostly inside, sometimes at and past the end, seldom far away.
            let index = generator.below(10) == 0 ? generator.below(1 << 32) : generator.below(schema.maxEntries + 2)
            return [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: index >> $0) }
        case .lpmTrie:
            let width = (schema.keySize - 4) * 8
            // Sometimes longer than the key, and few distinct bits, so that prefixes contain each other.
            let length = generator.below(30) == 0 ? width + 1 + generator.below(3) : generator.below(width + 1)
            return [UInt8(length & 0xff), UInt8(length >> 8), 0, 0] + sparseBytes(schema.keySize - 4, &generator)
        default: return generator.bytes(schema.keySize)
        }
    }

    /// What to look up in a trie: mostly full length, as a program does.
    private func question(_ key: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        let width = (schema.keySize - 4) * 8
        if generator.below(4) == 0 { return key }
        return [UInt8(width & 0xff), UInt8(width >> 8), 0, 0] + key.dropFirst(4)
    }

    private func sparseBytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in [0, 0, 0x80, 0xff, 0xfe, UInt8(generator.below(256))][generator.below(6)] }
    }

    // MARK: Comparing

    /// Throws the first difference. A run of an LRU hash is `checkLRU` instead: its victims are nobody's promise.
    package func compare(_ left: some MapFactory, _ right: some MapFactory) throws(ConformanceDifference) {
        let maps = (make(left), make(right))
        guard case (.success(let first), .success(let second)) = maps else {
            if case (.failure(let one), .failure(let other)) = maps, one == other { return }
            throw ConformanceDifference(description: "\(self): made \(maps.0) and \(maps.1)")
        }
        for (index, step) in steps(cpuCount: left.cpuCount).enumerated() {
            let answers = (answer(first, step), answer(second, step))
            guard answers.0 == answers.1 else {
                throw ConformanceDifference(description: "\(self): step \(index) \(step): \(answers.0), \(answers.1)")
            }
        }
        let contents = (sorted(first), sorted(second))
        guard contents.0 == contents.1 else {
            throw ConformanceDifference(description: "\(self): ends with \(contents.0) and \(contents.1)")
        }
    }

    /// An LRU hash keeps its bound, never invents an entry and never refuses an insert.
    package func checkLRU(_ factory: some MapFactory) throws(ConformanceDifference) {
        guard case .success(let map) = make(factory) else {
            throw ConformanceDifference(description: "\(self): not made")
        }
        var written: [[UInt8]: [UInt8]] = [:]
        for (index, step) in steps(cpuCount: factory.cpuCount).enumerated() {
            let answer = answer(map, step)
            if let problem = problem(step, answer, &written) {
                throw ConformanceDifference(description: "\(self): step \(index) \(step): \(answer): \(problem)")
            }
        }
        guard case .success(let entries) = sorted(map), entries.count <= schema.maxEntries else {
            throw ConformanceDifference(description: "\(self): holds more than \(schema.maxEntries)")
        }
        for entry in entries where written[entry.key] != entry.value {
            throw ConformanceDifference(description: "\(self): holds \(entry), never written so")
        }
    }

    /// nil where the answer is one that an LRU hash may give.
    private func problem(_ step: MapStep, _ answer: Answer, _ written: inout [[UInt8]: [UInt8]]) -> String? {
        switch (step, answer) {
        case (.lookup(let key), .value(let value?)): return written[key] == value ? nil : "a false hit"
        case (.lookup(let key), .value(nil)): return key.count == schema.keySize ? nil : "a wrong key accepted"
        case (.update(let key, let value, let mode), .done):
            guard key.count == schema.keySize, value.count == schema.valueSize else { return "a wrong size accepted" }
            if mode == .exist, written[key] == nil { return "a missing key found" }
            written[key] = value
            return nil
        case (.delete(let key), .done): return written.removeValue(forKey: key) == nil ? "a missing key deleted" : nil
        case (.delete(let key), .failed(.noEntry)):
            written[key] = nil
            return nil
        case (.update(let key, _, .exist), .failed(.noEntry)):
            written[key] = nil
            return nil
        case (.update(let key, _, .noExist), .failed(.exists)):
            return written[key] == nil ? "a missing key exists" : nil
        case (.update(let key, let value, _), .failed(.invalid)):
            return key.count != schema.keySize || value.count != schema.valueSize ? nil : "a good update refused"
        case (.lookup(let key), .failed(.invalid)), (.delete(let key), .failed(.invalid)):
            return key.count != schema.keySize ? nil : "a good key refused"
        default: return "not an answer to this"
        }
    }

    private func make(_ factory: some MapFactory) -> Result<any BPFMap, MapError> {
        Result { () throws(MapError) in try factory.makeMap(schema) }
    }

    private func sorted(_ map: any BPFMap) -> Result<[MapEntry], MapError> {
        Result { () throws(MapError) in try map.entries().sorted() }
    }

    private func answer(_ map: any BPFMap, _ step: MapStep) -> Answer {
        do throws(MapError) {
            switch step {
            case .lookup(let key): return .value(try map.lookup(key))
            case .update(let key, let value, let mode): try map.update(key, value, mode: mode)
            case .delete(let key): try map.delete(key)
            }
            return .done
        } catch {
            return .failed(error)
        }
    }
}
