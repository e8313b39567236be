internal import CLibbpf
internal import Synchronization
internal import SystemPackage
internal import WeirABI
package import WeirMaps

/// A BPF object: opened, then given options and maps to share, then loaded.
///
/// Owns libbpf's object. Maps and programs taken out of it have descriptors of their own and outlive it.
@safe package struct BPFObject: ~Copyable {
    private let object: OpaquePointer
    private let name: String

    /// Parses an ELF image; nothing reaches the kernel yet.
    package init(bytes: [UInt8], name: String = "weir") throws(KernelError) {
        var error: Int32 = 0
        let (opened, log) = unsafe LibbpfMessages.capture {
            // SAFETY: libbpf copies the ELF image before it returns.
            let object = unsafe bytes.withUnsafeBytes { unsafe weir_object_open($0.baseAddress, $0.count, name) }
            error = weir_last_errno()
            return unsafe object
        }
        guard let opened = unsafe opened else {
            throw KernelError("open object", name, errno: Errno(rawValue: error), hint: lastLine(log), log: log)
        }
        unsafe object = opened
        self.name = name
    }

    // SAFETY: this value is the only owner.
    deinit { unsafe bpf_object__close(object) }

    package func setOptions(_ options: DatapathOptions) throws(KernelError) {
        // SAFETY: the object is open and the name outlives the call.
        let result = unsafe weir_object_set_constant(object, "weir_options", options.rawValue)
        guard result == 0 else { throw KernelError("set weir_options of object", name, result: result) }
    }

    /// Uses an existing map in place of one that loading would create. Every attribute must agree with the object's.
    package func share(_ map: KernelMap, as mapName: String) throws(KernelError) {
        // SAFETY: libbpf duplicates the descriptor.
        let result = unsafe bpf_map__reuse_fd(try declared(mapName), map.descriptor.raw)
        guard result == 0 else { throw KernelError("share map", mapName, result: result) }
    }

    /// Creates the maps that are not shared and has the verifier check every program.
    package func load() throws(KernelError) {
        let (result, log) = LibbpfMessages.capture {
            // SAFETY: the object is open and not yet loaded; libbpf refuses a second time.
            unsafe bpf_object__load(object)
        }
        guard result == 0 else {
            throw KernelError("load object", name, result: result, hint: verifierReason(log), log: log)
        }
    }

    /// A map after loading.
    package func map(_ mapName: String) throws(KernelError) -> KernelMap {
        // SAFETY: the map belongs to the open object; only its descriptor is read.
        let raw = unsafe bpf_map__fd(try declared(mapName))
        guard raw >= 0 else { throw KernelError("use", "map '\(mapName)' of \(name)", errno: .badFileDescriptor) }
        do {
            return try KernelMap(
                adopting: OwnedDescriptor(adopting: try FileDescriptor(rawValue: raw).duplicate().rawValue))
        } catch let error as KernelError {
            throw error
        } catch {
            throw KernelError("duplicate map", mapName, errno: error as? Errno ?? .badFileDescriptor)
        }
    }

    /// A program after loading.
    package func program(_ programName: String) throws(KernelError) -> Program {
        // SAFETY: the object is open and the name outlives the call; only the descriptor is read.
        guard let program = unsafe bpf_object__find_program_by_name(object, programName) else {
            throw KernelError("find", "program '\(programName)' in \(name)", errno: .noSuchFileOrDirectory)
        }
        let raw = unsafe bpf_program__fd(program)
        guard raw >= 0 else {
            throw KernelError("use", "program '\(programName)' of \(name)", errno: .badFileDescriptor)
        }
        do {
            let copy = try FileDescriptor(rawValue: raw).duplicate().rawValue
            return try Program(adopting: OwnedDescriptor(adopting: copy))
        } catch let error as KernelError {
            throw error
        } catch {
            throw KernelError("duplicate program", programName, errno: error as? Errno ?? .badFileDescriptor)
        }
    }

    /// Bytes of a structure as the object's compiler saw it; nil where its BTF does not have it.
    package func structureSize(_ structure: String) -> Int? {
        // SAFETY: the object is open; only its BTF is read.
        let size = unsafe weir_object_struct_size(object, structure)
        return size < 0 ? nil : Int(size)
    }

    /// Helpers that its programs call and this kernel does not have, by name, sorted. Nothing is loaded but probes.
    package func missingHelpers() throws(KernelError) -> [String] {
        var ids = [UInt32](repeating: 0, count: 256)
        // SAFETY: the object is open and at most 256 ids are written.
        let count = unsafe ids.withUnsafeMutableBufferPointer { [object] in
            unsafe weir_object_helpers(object, $0.baseAddress, Int32($0.count))
        }
        var missing: [String] = []
        for id in ids.prefix(Int(count)) {
            // SAFETY: a constant string.
            let name = unsafe weir_helper_name(id).map { unsafe String(cString: $0) } ?? "helper \(id)"
            let (result, log) = LibbpfMessages.capture { weir_probe_helper(id) }
            guard result >= 0 else { throw KernelError("probe", name, result: result, log: log) }
            if result == 0 { missing.append(name) }
        }
        return missing.sorted()
    }

    private func declared(_ mapName: String) throws(KernelError) -> OpaquePointer {
        // SAFETY: the object is open and the name outlives the call.
        guard let map = unsafe bpf_object__find_map_by_name(object, mapName) else {
            throw KernelError("find", "map '\(mapName)' in \(name)", errno: .noSuchFileOrDirectory)
        }
        return unsafe map
    }
}

/// A difference between a map that exists and what this weir would create.
package struct SchemaDifference: Hashable, Sendable, CustomStringConvertible {
    package var map: String
    package var attribute: String
    package var found: String
    package var wanted: String

    package init(map: String, attribute: String, found: String, wanted: String) {
        self.map = map
        self.attribute = attribute
        self.found = found
        self.wanted = wanted
    }

    package var description: String { "\(map): \(attribute) is \(found), not \(wanted)" }
}

extension MapSchema {
    /// Every attribute in which `found` differs from this schema; the name is the kernel's and not compared.
    package func differences(from found: MapSchema) -> [SchemaDifference] {
        let attributes: [(String, String, String)] = [
            ("type", found.type.rawValue, type.rawValue),
            ("key size", "\(found.keySize)", "\(keySize)"),
            ("value size", "\(found.valueSize)", "\(valueSize)"),
            ("max entries", "\(found.maxEntries)", "\(maxEntries)"),
            ("flags", "\(found.flags.rawValue)", "\(flags.rawValue)"),
        ]
        return attributes.filter { $0.1 != $0.2 }
            .map { SchemaDifference(map: name, attribute: $0.0, found: $0.1, wanted: $0.2) }
    }
}

/// What libbpf prints while it works. libbpf has one print function for the whole process, hence the lock.
enum LibbpfMessages {
    private static let text = Mutex("")

    static func capture<Result>(_ body: () -> Result) -> (Result, log: String) {
        // SAFETY: the function is a constant and keeps nothing; `text` has its own lock. Two captures at the same time
        // would mix their texts, not their results.
        unsafe libbpf_set_print { level, format, arguments in
            guard level != LIBBPF_DEBUG, let format = unsafe format, let arguments = unsafe arguments else { return 0 }
            // A verifier log comes as one message and may be megabytes long.
            var buffer = [CChar](repeating: 0, count: 1 << 20)
            let length = unsafe vsnprintf(&buffer, buffer.count, format, arguments)
            let line = buffer.prefix(max(0, min(Int(length), buffer.count - 1))).map { UInt8(bitPattern: $0) }
            LibbpfMessages.text.withLock { $0 += String(decoding: line, as: UTF8.self) }
            return length
        }
        text.withLock { $0 = "" }
        let result = body()
        return (result, text.withLock { $0 })
    }
}

/// The verifier's last words: the line before its statistics.
private func verifierReason(_ log: String) -> String? {
    let lines = log.split(separator: "\n")
    guard let end = lines.lastIndex(where: { $0.hasPrefix("processed ") || $0.contains("END PROG LOAD LOG") }) else {
        return lastLine(log)
    }
    let body = lines[..<end].filter { !$0.hasPrefix("processed ") }
    return body.last.map { "verifier: \($0)" }
}

private func lastLine(_ log: String) -> String? {
    log.split(separator: "\n").last.map(String.init)
}
