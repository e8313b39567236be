internal import Crypto
internal import FoundationEssentials
internal import WeirModel
internal import WeirNetlink

/// A registration, with what it takes to know whether it still means something.
private struct RegistrationFile: Codable {
    /// 1: first version.
    static let currentFormat = 1

    var format = Self.currentFormat
    /// Interfaces have other indexes after the next start of the machine.
    var boot: String
    /// Where the interface is.
    var namespace: NamespaceIdentity
    /// The later one is higher.
    var sequence: UInt64
    var registration: Registration
}

/// Which start of the machine this is.
enum BootID {
    static func current() throws -> String {
        let path = "/proc/sys/kernel/random/boot_id"
        guard let bytes = try Files.read(path) else {
            throw FileError("read", path, errno: .noSuchFileOrDirectory, hint: "is /proc mounted?")
        }
        return String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
    }
}

/// The endpoints that this node was told of: one file each, so that one that comes rewrites no other.
extension StateDirectory {
    private var registrationsPath: String { "\(path)/registrations" }

    private func registrationPath(_ key: Registration.Key) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let digest = SHA256.hash(data: try encoder.encode(key))
        return "\(registrationsPath)/\(digest.prefix(16).hexadecimal).json"
    }

    private func registrationFiles() throws -> [(path: String, file: RegistrationFile)] {
        try (Files.list(registrationsPath) ?? []).filter { $0.hasSuffix(".json") }.compactMap { name in
            let path = "\(registrationsPath)/\(name)"
            guard let bytes = try Files.read(path) else { return nil }
            guard let file = try? JSONDecoder().decode(RegistrationFile.self, from: Data(bytes)),
                file.format == RegistrationFile.currentFormat
            else {
                throw LoaderError.refused(
                    "\(path) is damaged or of another version",
                    hint: "remove it; then what it was about can be added again")
            }
            return (path, file)
        }
    }

    /// Those whose interface is there, the newest first, under the name that it has now.
    func registrations() throws -> [Registration] {
        let files = try registrationFiles()
        guard !files.isEmpty else { return [] }
        let names = Dictionary(try Netlink().interfaces().map { ($0.index, $0.name) }) { $1 }
        let (boot, namespace) = (try BootID.current(), try NamespaceIdentity.current())
        return files.filter { $0.file.boot == boot && $0.file.namespace == namespace }
            .sorted { $0.file.sequence > $1.file.sequence }
            .compactMap { entry in
                var registration = entry.file.registration
                guard let name = names[registration.interfaceIndex] else { return nil }
                registration.interface = name
                return registration
            }
    }

    /// Those of this namespace, whether their interface is there or not.
    func allRegistrations() throws -> [Registration] {
        let namespace = try NamespaceIdentity.current()
        return try registrationFiles().filter { $0.file.namespace == namespace }.map(\.file.registration)
    }

    func save(_ registration: Registration) throws {
        try Files.makeDirectories(registrationsPath)
        let last = try registrationFiles().map(\.file.sequence).max() ?? 0
        let file = RegistrationFile(
            boot: try BootID.current(), namespace: try .current(), sequence: last + 1, registration: registration)
        try Files.write(Array(try JSONEncoder().encode(file)), to: try registrationPath(registration.key))
    }

    /// false where there was none.
    @discardableResult
    func removeRegistration(_ key: Registration.Key) throws -> Bool {
        try Files.removeFile(try registrationPath(key))
    }

    /// Of interfaces that are gone, which no interface will ever be again, and what a run that ended left.
    func removeDeadRegistrations() throws {
        for name in try Files.list(registrationsPath) ?? [] where name.hasSuffix(".tmp") {
            try Files.removeFile("\(registrationsPath)/\(name)")
        }
        let living = Set(try registrations().map(\.key))
        let namespace = try NamespaceIdentity.current()
        for (path, file) in try registrationFiles()
        where file.namespace == namespace && !living.contains(file.registration.key) {
            try Files.removeFile(path)
        }
    }

    func removeAllRegistrations() throws { try Files.removeTree(registrationsPath) }
}
