import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirLoader

@Suite("Several runs at once", .serialized, .enabled(if: kernelTestsAreWanted))
struct LockTests {
    private static func words(_ place: LoaderFixture.Place, _ bundle: String, timeout: String) throws -> [String] {
        [
            try builtExecutable(), "apply", "--bundle", bundle, "--pin-path", place.pinPath, "--state-dir",
            place.stateDirectory, "--timeout", timeout,
        ]
    }

    private static func bundle(_ fixture: LoaderFixture, port: UInt16) throws -> String {
        let path = "\(fixture.place.stateDirectory)-bundle-\(port)"
        try HandmadeImage.make(port: port).bundled.write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test("applies of different policies run one after the other, and each is whole")
    func serialised() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        let bundles = try (80..<86).map { try Self.bundle(fixture, port: UInt16($0)) }
        defer { for bundle in bundles { try? FileManager.default.removeItem(atPath: bundle) } }
        let script = try bundles.map { bundle in
            try Self.words(place, bundle, timeout: "60").joined(separator: " ") + " & pids=\"$pids $!\""
        }.joined(separator: "\n")
        try run(
            "nsenter", "--net=/run/netns/\(place.node)", "bash", "-euc",
            "pids=\n\(script)\nfor pid in $pids; do wait $pid; done")
        let status = try #require(try place.status())
        #expect(status.revision == 6)
        #expect(status.slots.map(\.state) == [.ready, .ready])
        #expect(status.problems == [])
        #expect(try NodeSnapshot(fixture).strayFiles == [])
        try place.detach()
        #expect(try fixture.traces() == [])
    }

    @Test("a run that waits in vain says who it waited for, and kill -9 of the holder frees the lock")
    func holderKilled() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        _ = try place.apply(HandmadeImage.make(port: 80))
        let before = try NodeSnapshot(fixture)
        let bundle = try Self.bundle(fixture, port: 81)
        defer { try? FileManager.default.removeItem(atPath: bundle) }
        let onNode = ["nsenter", "--net=/run/netns/\(place.node)"]
        // It has the lock and stops when it writes its first file.
        let holder = try BackgroundCommand(
            onNode + ["strace", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:signal=STOP:when=1"]
                + Self.words(place, bundle, timeout: "10"))
        defer { holder.stop() }
        let lock = "\(place.stateDirectory)/lock"
        for _ in 0..<500 where try attempt(["flock", "-n", lock, "true"]).status == 0 { usleep(10_000) }

        let (status, output) = try attempt(onNode + Self.words(place, bundle, timeout: "0.3"))
        #expect(status == 3)
        #expect(output == "weir: error: another weir is at work: \(lock) is locked (see --timeout)\n")
        #expect(try NodeSnapshot(fixture).policy == before.policy)
        #expect(try place.onNode { try place.loader().examine() }.findings.contains { $0.id == .atWork })

        let children = "/proc/\(holder.processID)/task/\(holder.processID)/children"
        let child = try #require(Int32(try String(contentsOfFile: children, encoding: .utf8).split(separator: " ")[0]))
        #expect(kill(child, SIGKILL) == 0)
        #expect(try attempt(onNode + Self.words(place, bundle, timeout: "10")).status == 0)
        #expect(try place.status()?.revision == 2)
    }
}
