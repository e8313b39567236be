import Foundation
import Synchronization
import TestNetwork
import Testing
import WeirLoader
import WeirWireGuard

/// The private keys of a node, in files that nobody else may read.
@Suite("Key files")
struct KeyStoreTests {
    /// A state directory of its own; gone with its owner.
    private final class Keys {
        let state = FileManager.default.temporaryDirectory.path + "/weir-keys-\(UUID().uuidString)"
        var directory: String { "\(state)/wireguard" }
        var current: String { "\(directory)/private.key" }
        var next: String { "\(directory)/next.key" }

        deinit { _ = try? attempt(["rm", "-rf", state]) }

        var loader: TunnelLoader {
            var options = Loader.Options()
            options.stateDirectory = state
            options.lockTimeout = .seconds(30)
            return TunnelLoader(options)
        }

        func make() throws -> PublicKey { try loader.ensureKey().publicKey }

        /// A key file that somebody else wrote.
        func put(_ text: String) throws {
            try run("mkdir", "-p", "-m", "700", state, directory)
            try run("rm", "-rf", current)
            try #require(
                FileManager.default.createFile(
                    atPath: current, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]))
        }

        /// Names, kinds, modes, owners, targets and contents, but for the lock.
        func contents() throws -> String {
            try run(
                "sh", "-c",
                "cd \"$0\" && find . ! -name lock -printf '%p %y %m %U %l\\n' | sort; "
                    + "find . -type f ! -name lock -exec sha256sum {} + | sort", state)
        }

        /// What every call says that needs the key: the same, and nothing changes.
        func refusal() throws -> String {
            let before = try contents()
            let loader = loader
            let made = try #require(throws: LoaderError.self) { try loader.ensureKey() }
            let started = try #require(throws: LoaderError.self) { try loader.startRotation() }
            let read = try #require(throws: LoaderError.self) { try loader.publicKey() }
            #expect(made.description == read.description && started.description == read.description)
            #expect(try contents() == before)
            return read.description
        }
    }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    // MARK: Making

    @Test("A key is made once, for its owner alone, and the next one beside it")
    func made() throws {
        let keys = Keys()
        #expect(try keys.loader.publicKey() == nil && keys.loader.nextPublicKey() == nil)
        #expect(!FileManager.default.fileExists(atPath: keys.state), "to ask makes nothing")
        let first = try keys.loader.ensureKey()
        #expect(first.isNew)
        let again = try keys.loader.ensureKey()
        #expect(!again.isNew && again.publicKey == first.publicKey)
        let next = try keys.loader.startRotation()
        #expect(next.isNew && next.publicKey != first.publicKey)
        #expect(try keys.loader.startRotation() == (next.publicKey, false))
        #expect(try keys.loader.publicKey() == first.publicKey && keys.loader.nextPublicKey() == next.publicKey)
        #expect(try mode(keys.state) == 0o700 && mode(keys.directory) == 0o700)
        #expect(try mode(keys.current) == 0o600 && mode(keys.next) == 0o600)
        #expect(try FileManager.default.contentsOfDirectory(atPath: keys.directory).count == 2)
    }

    @Test("There is nothing to rotate before there is a key")
    func nothingToRotate() throws {
        let keys = Keys()
        let refusal = try #require(throws: LoaderError.self) { try keys.loader.startRotation() }
        #expect(refusal.description.contains("weir wireguard key"))
        #expect(!FileManager.default.fileExists(atPath: keys.next))
    }

    @Test("Who makes keys at once agrees on one")
    func concurrent() throws {
        for _ in 0..<10 {
            let keys = Keys()
            let loader = keys.loader
            let answers = Mutex<[(PublicKey, Bool)]>([])
            DispatchQueue.concurrentPerform(iterations: 8) { _ in
                guard let answer = try? loader.ensureKey() else { return }
                answers.withLock { $0.append((answer.publicKey, answer.isNew)) }
            }
            let all = answers.withLock { $0 }
            #expect(all.count == 8)
            #expect(Set(all.map { $0.0 }) == [try #require(try loader.publicKey())])
            #expect(all.count { $0.1 } == 1)
        }
    }

    // MARK: What others could have read

    @Test(
        "A file or directory that others can reach is refused, with what to do",
        arguments: [
            ("private.key", "640", "chmod 600"), ("private.key", "644", "chmod 600"),
            ("private.key", "602", "chmod 600"), ("private.key", "610", "chmod 600"),
            (".", "750", "chmod 700"), (".", "711", "chmod 700"), (".", "707", "chmod 700"),
        ])
    func looseMode(_ name: String, _ mode: String, _ remedy: String) throws {
        let keys = Keys()
        let key = try keys.make()
        try run("chmod", mode, "\(keys.directory)/\(name)")
        let refusal = try keys.refusal()
        #expect(refusal.contains("has mode \(mode)"))
        #expect(refusal.contains("\(remedy) \(keys.directory)"))
        #expect(refusal.contains("weir wireguard rotate"))
        // The remedy is one.
        try run("chmod", String(remedy.dropFirst(6)), "\(keys.directory)/\(name)")
        #expect(try keys.make() == key)
    }

    @Test("A mode that keeps even more to itself is good", arguments: ["400", "600", "700"])
    func tightMode(_ mode: String) throws {
        let keys = Keys()
        let key = try keys.make()
        try run("chmod", mode, keys.current)
        #expect(try keys.make() == key)
    }

    @Test(
        "A file or directory of another owner is refused, with what to do", .enabled(if: kernelTestsAreWanted),
        arguments: ["private.key", "."])
    func otherOwner(_ name: String) throws {
        let keys = Keys()
        let key = try keys.make()
        try run("chown", "65534", "\(keys.directory)/\(name)")
        let refusal = try keys.refusal()
        #expect(refusal.contains("belongs to user 65534, not to 0"))
        #expect(refusal.contains("chown 0 \(keys.directory)"))
        try run("chown", "0", "\(keys.directory)/\(name)")
        #expect(try keys.make() == key)
    }

    // MARK: What is no key

    @Test("What is no regular file is refused", arguments: ["link", "dangling link", "directory", "FIFO", "socket"])
    func otherKind(_ kind: String) throws {
        let keys = Keys()
        _ = try keys.make()
        let path = keys.current
        try run("mv", path, "\(keys.state)/elsewhere")
        switch kind {
        case "link": try run("ln", "-s", "\(keys.state)/elsewhere", path)
        case "dangling link": try run("ln", "-s", "\(keys.state)/nowhere", path)
        case "directory": try run("mkdir", "-m", "700", path)
        case "FIFO": try run("mkfifo", "-m", "600", path)
        default: try run("python3", "-c", "import socket; socket.socket(socket.AF_UNIX).bind('\(path)')")
        }
        let refusal = try keys.refusal()
        #expect(refusal.contains(path))
        #expect(!FileManager.default.fileExists(atPath: "\(keys.state)/nowhere"))
    }

    @Test("A directory that is a link or a file is refused", arguments: ["link", "file"])
    func otherDirectory(_ kind: String) throws {
        let keys = Keys()
        _ = try keys.make()
        try run("mv", keys.directory, "\(keys.state)/elsewhere")
        switch kind {
        case "link": try run("ln", "-s", "\(keys.state)/elsewhere", keys.directory)
        default: try run("touch", keys.directory)
        }
        #expect(try keys.refusal().contains("\(keys.directory) is no directory"))
    }

    private static let text = "YAnQZxlxhU9fDCEJaDXiPpuKZGkfpaRxR3JDRTFYJ2Y="

    @Test(
        "A file that holds no key is refused",
        arguments: [
            "", "\n", String(text.dropLast()), String(text.dropLast(2)) + "=", text + "=", text + "\n\n", text + " ",
            " " + text, text + "\n" + text, text + "\r\n", String(text.dropLast()) + "A",
            text.replacing("Q", with: "-"), text.replacing("Q", with: " "), text.replacing("Q", with: "="),
            // Another text for the same bytes.
            String(text.dropLast(2)) + "Z=", String(repeating: "A", count: 4096),
        ])
    func noKey(_ text: String) throws {
        let keys = Keys()
        try keys.put(text)
        let refusal = try keys.refusal()
        #expect(refusal.contains("\(keys.current) holds no key"))
        let words = text.split(separator: "\n").filter { $0.count > 8 }
        #expect(words.allSatisfy { !refusal.contains($0) }, "nor is it shown")
    }

    @Test("A key with a newline or without one is good", arguments: [text, text + "\n"])
    func good(_ text: String) throws {
        let keys = Keys()
        try keys.put(text)
        #expect(try keys.loader.ensureKey().isNew == false)
    }

    // MARK: As wg has them

    @Test(
        "Keys of wg genkey are taken, and their public keys are those of wg pubkey", .enabled(if: kernelTestsAreWanted))
    func keysOfWireGuard() throws {
        let script = "for i in $(seq 300); do key=$(wg genkey); echo \"$key $(echo \"$key\" | wg pubkey)\"; done"
        let pairs = try run("sh", "-c", script).split(separator: "\n").map { $0.split(separator: " ") }
        #expect(pairs.count == 300)
        let keys = Keys()
        for pair in pairs {
            try keys.put("\(pair[0])\n")
            try #require(try keys.make().base64 == pair[1])
        }
    }

    @Test("wg takes the keys that weir makes, and has the same public keys", .enabled(if: kernelTestsAreWanted))
    func keysForWireGuard() throws {
        let keys = Keys()
        var published: [String] = []
        for number in 0..<200 {
            _ = try? FileManager.default.moveItem(atPath: keys.current, toPath: "\(keys.directory)/\(number - 1)")
            published.append(try keys.make().base64)
        }
        #expect(Set(published).count == 200)
        try FileManager.default.moveItem(atPath: keys.current, toPath: "\(keys.directory)/199")
        let script = "cd \"$0\"; for i in $(seq 0 199); do wg pubkey < $i; done"
        #expect(try run("sh", "-c", script, keys.directory).split(separator: "\n").map(String.init) == published)
        // wg writes clamped keys, and so does weir: what is in the file is what a device has.
        let clamped = "cd \"$0\"; for i in $(seq 0 199); do base64 -d < $i | od -An -v -tu1 -w32; done"
        for line in try run("sh", "-c", clamped, keys.directory).split(separator: "\n") {
            let bytes = line.split(separator: " ").compactMap { UInt8($0) }
            #expect(bytes.count == 32 && bytes[0] & 7 == 0 && bytes[31] & 0xc0 == 0x40)
        }
    }
}
