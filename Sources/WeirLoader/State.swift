internal import FoundationEssentials
internal import SystemPackage
internal import WeirImage
internal import WeirNetlink

/// What a newer weir has left, after a downgrade.
enum Newer {
    static let remedy =
        "install the newer weir again; to go back for good, run its weir detach --all first: until then its policy stays"

    private struct Format: Decodable { var format: Int }

    /// Throws where a file says that it is of a later format than this weir knows.
    static func refuse(_ bytes: [UInt8], at path: String, above known: Int) throws(LoaderError) {
        guard let found = try? JSONDecoder().decode(Format.self, from: Data(bytes)).format, found > known else {
            return
        }
        throw LoaderError.refused(
            "\(path) was written by a newer weir: format \(found), and this one knows \(known)", hint: remedy)
    }
}

/// What a run leaves for the next, as a file of one version.
protocol RememberedState: Codable {
    static var currentFormat: Int { get }
    var format: Int { get }
    init()
}

extension RememberedState {
    /// Fresh where there is none.
    ///
    /// - Parameter remedy: what to do about a file that nobody can read.
    static func load(_ path: String, remedy: String) throws -> Self {
        guard let bytes = try Files.read(path) else { return Self() }
        try Newer.refuse(bytes, at: path, above: Self.currentFormat)
        guard let state = try? JSONDecoder().decode(Self.self, from: Data(bytes)), state.format == Self.currentFormat
        else { throw LoaderError.refused("\(path) is damaged or of another version", hint: remedy) }
        return state
    }

    func save(_ path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try Files.write(Array(try encoder.encode(self)), to: path)
    }
}

/// What weir remembers between runs and cannot read back from the kernel. Losing it loses no protection: the pins say
/// what is in force.
struct NodeState: RememberedState, Equatable {
    /// 1: first version.
    static let currentFormat = 1

    var format = Self.currentFormat
    /// Interface indexes are meaningless in any other network namespace.
    var namespace: NamespaceIdentity?
    /// Interfaces on which weir created clsact. Written before it is created.
    var createdQdiscs: Set<UInt32> = []
    /// Why the slot that is not in force cannot be gone back to, where weir itself gave it up.
    var rollbackRefusal: String?
}

/// The directory of the lock, the state and the images of both slots.
struct StateDirectory {
    let path: String

    var statePath: String { "\(path)/state.json" }
    var lockPath: String { "\(path)/lock" }

    /// One weir at a time works on what belongs to this directory.
    func locked<Value>(timeout: Duration, _ body: () throws -> Value) throws -> Value {
        try Files.makeDirectories(path)
        return try Files.withLock(lockPath, timeout: timeout, body)
    }

    /// Of the one reader of events, beside whom everybody else can work.
    var readerLockPath: String { "\(path)/monitor.lock" }

    /// Runs the body while this process alone reads events. The file stays: who removed it could meet one who waits for it.
    func asOnlyReader<Value>(_ body: () throws -> Value) throws -> Value {
        try Files.makeDirectories(path)
        do {
            return try Files.withLock(readerLockPath, timeout: .zero, body)
        } catch LoaderError.locked(let path) where path == readerLockPath {
            throw LoaderError.refused(
                "another weir monitor reads the events of this node: \(readerLockPath) is locked",
                hint: "end it first: the kernel gives an event to one reader only")
        }
    }

    /// Fresh where there is none.
    func load() throws -> NodeState { try NodeState.load(statePath, remedy: "remove it to go on without it") }

    func save(_ state: NodeState) throws { try state.save(statePath) }

    // MARK: Images, by digest: a slot's meta data says which is its own.

    private func imagePath(_ digest: [UInt8]) -> String { "\(path)/image-\(digest.hexadecimal)" }

    func image(digest: [UInt8]) throws -> Image? {
        guard let bytes = try Files.read(imagePath(digest)) else { return nil }
        return try? Image(decoding: bytes)
    }

    /// Also replaces the image where only the rules' locations differ.
    func save(_ image: Image) throws {
        let path = imagePath(image.digest)
        let bytes = image.encoded()
        if try Files.read(path) != bytes { try Files.write(bytes, to: path) }
    }

    func hasImage(digest: [UInt8]) throws -> Bool { try Files.exists(imagePath(digest)) }

    func removeImage(digest: [UInt8]) throws {
        try Files.removeFile(imagePath(digest))
        try Files.removeFile(policyPath(digest))
    }

    /// The names of images and policies that no slot has, and of what a run that ended while it wrote left. Sorted.
    func leftovers(except digests: [[UInt8]]) throws -> [String] {
        let kept = Set(digests.flatMap { ["image-\($0.hexadecimal)", "policy-\($0.hexadecimal)"] })
        return try (Files.list(path) ?? []).filter {
            $0.hasSuffix(".tmp")
                || ($0.hasPrefix("image-") || $0.hasPrefix("policy-")) && !kept.contains($0)
        }
    }

    func removeLeftovers(except digests: [[UInt8]]) throws {
        for name in try leftovers(except: digests) { try Files.removeFile("\(path)/\(name)") }
    }

    // MARK: Policies, by the digest of their image. Those of a bundle are not known.

    private func policyPath(_ digest: [UInt8]) -> String { "\(path)/policy-\(digest.hexadecimal)" }

    func policy(digest: [UInt8]) throws -> [UInt8]? { try Files.read(policyPath(digest)) }

    func save(policy: [UInt8], of digest: [UInt8]) throws {
        let path = policyPath(digest)
        if try Files.read(path) != policy { try Files.write(policy, to: path) }
    }

    /// Everything but the lock, which is held; the directory stays if somebody put something else there.
    func clear() throws {
        try removeLeftovers(except: [])
        try Files.removeFile(statePath)
        // A reader that still runs ends, because nothing is enforced any longer.
        try Files.removeFile(readerLockPath)
    }
}
