internal import Crypto
internal import FoundationEssentials
internal import WeirImage
internal import WeirKernel

/// What is enough to apply a policy once more: a bundle, and how it was applied.
package struct RestorableBundle: Hashable, Sendable {
    /// A whole bundle file.
    package var bytes: [UInt8]
    /// Seconds since 1970; nil where nobody said how old the inventory is.
    package var inventoryTime: Int64?

    package init(bytes: [UInt8], inventoryTime: Int64? = nil) {
        self.bytes = bytes
        self.inventoryTime = inventoryTime
    }
}

/// How a bundle was applied here.
struct KeptBundle: Codable, Equatable {
    /// SHA-256 of the file, in hexadecimal.
    var digest: String
    /// Seconds since 1970.
    var appliedAt: Int64
    var inventoryTime: Int64?
    var attachMode: AttachMode
    var devices: [String]?
    var isAudited: Bool
    var programs: UInt32
    /// Endpoints of this node in the inventory that have no interface here, sorted.
    var absent: [String] = []
}

/// What survives a restart of the machine: the bundles of both slots, and which one was in force.
///
/// It is written after a commit. So a run, or a machine, that ends in between goes back to the policy before.
struct LastGood: RememberedState, Equatable {
    /// 1: first version.
    static let currentFormat = 1

    var format = Self.currentFormat
    /// Somebody ran detach: the node is open because it is meant to be.
    var isOpened = false
    /// The digest of the image in force, in hexadecimal; nil before the first commit.
    var active: String?
    /// How it came into force; nil where no bundle is known. An apply that ends before its commit changes `kept` only.
    var inForce: KeptBundle?
    /// By the digest of the image that came of it, in hexadecimal.
    var kept: [String: KeptBundle] = [:]
}

extension StateDirectory {
    private var lastGoodPath: String { "\(path)/last-good.json" }
    private func bundlePath(_ digest: String) -> String { "\(path)/bundle-\(digest)" }

    func lastGood() throws -> LastGood {
        try LastGood.load(
            lastGoodPath,
            remedy: "remove it and apply again: until then nothing can be restored after a reboot")
    }

    func changeLastGood(_ change: (inout LastGood) -> Void) throws {
        let before = try lastGood()
        var after = before
        change(&after)
        if after != before { try after.save(lastGoodPath) }
    }

    /// Takes back what was kept since.
    func restore(_ before: LastGood) throws {
        if before == LastGood() { try Files.removeFile(lastGoodPath) } else { try before.save(lastGoodPath) }
        try removeBundles(except: before)
    }

    /// Throws where the file is not what it was when it was written.
    func bundle(_ kept: KeptBundle) throws -> [UInt8] {
        let path = bundlePath(kept.digest)
        guard let bytes = try Files.read(path) else {
            throw FileError("read", path, errno: .noSuchFileOrDirectory)
        }
        guard SHA256.hash(data: bytes).hexadecimal == kept.digest else {
            throw LoaderError.refused("\(path) is damaged", hint: "apply the policy again")
        }
        return bytes
    }

    /// Before a commit: the bundle is there, and not yet said to be in force.
    func keep(_ bundle: RestorableBundle, of image: Image, as options: Loader.Options, absent: [String]) throws {
        let digest = SHA256.hash(data: bundle.bytes).hexadecimal
        let path = bundlePath(digest)
        // By its name it has these bytes already, unless somebody damaged it.
        if try Files.read(path) != bundle.bytes { try Files.write(bundle.bytes, to: path) }
        let now = Int64(Date().timeIntervalSince1970)
        try changeLastGood { state in
            // Endpoints that come and go make another image of the same bundle.
            let former = state.kept.values.first { $0.digest == digest }
            var kept = KeptBundle(
                digest: digest, appliedAt: now, inventoryTime: bundle.inventoryTime, attachMode: options.attachMode,
                devices: options.devices, isAudited: options.isAudited, programs: options.programs.rawValue,
                absent: absent.sorted())
            if let former { kept.appliedAt = former.appliedAt }
            state.kept[image.digest.hexadecimal] = kept
        }
    }

    /// An image was taken to today's pods: the bundle behind it is the same.
    func carryBundle(of former: [UInt8], to image: Image) throws {
        try changeLastGood { $0.kept[image.digest.hexadecimal] = $0.kept[former.hexadecimal] }
    }

    /// The image of this digest is in force, and the node in audit mode or not.
    func markInForce(_ digest: [UInt8], isAudited: Bool) throws {
        try changeLastGood { state in
            state.isOpened = false
            state.active = digest.hexadecimal
            state.inForce = state.kept[digest.hexadecimal]
            state.inForce?.isAudited = isAudited
        }
    }

    /// Forgets bundles of images that are in no slot and not in force.
    func removeOldBundles(except digests: [[UInt8]]) throws {
        let slots = Set(digests.map(\.hexadecimal))
        try changeLastGood { state in
            let active = state.active
            state.kept = state.kept.filter { slots.contains($0.key) || $0.key == active }
        }
        try removeBundles(except: try lastGood())
    }

    private func removeBundles(except lastGood: LastGood) throws {
        let needed = Set(lastGood.kept.values.map(\.digest) + (lastGood.inForce.map { [$0.digest] } ?? []))
        for name in try Files.list(path) ?? [] where name.hasPrefix("bundle-") {
            if !needed.contains(String(name.dropFirst("bundle-".count))) { try Files.removeFile("\(path)/\(name)") }
        }
    }

    func hasBundles() throws -> Bool { try (Files.list(path) ?? []).contains { $0.hasPrefix("bundle-") } }

    /// The node was opened on purpose; nothing is there to restore.
    func forgetLastGood() throws {
        try LastGood(isOpened: true).save(lastGoodPath)
        try removeOldBundles(except: [])
    }

    func removeLastGood() throws {
        try Files.removeFile(lastGoodPath)
        try removeBundles(except: LastGood())
    }
}
