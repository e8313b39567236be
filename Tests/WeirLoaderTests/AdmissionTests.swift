import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirABI
import WeirBundle
import WeirImage
import WeirLoader

@Suite("Which bundle was the newest", .serialized, .enabled(if: kernelTestsAreWanted))
struct AdmissionTests {
    private struct Interruption: Error {}

    private static func apply(
        _ place: LoaderFixture.Place, port: UInt16, serial: UInt64, allowsOlder: Bool = false,
        until last: ApplyStep? = nil
    ) throws {
        let image = HandmadeImage.make(port: port)
        _ = try place.onNode {
            try place.loader {
                $0.admission = BundleAdmission(serial: serial, digest: image.digest, allowsOlder: allowsOlder)
            }.apply(image) { step in if step == last { throw Interruption() } }
        }
    }

    private static func mark(_ place: LoaderFixture.Place) throws -> Int? {
        guard let data = FileManager.default.contents(atPath: "\(place.stateDirectory)/bundle.json") else { return nil }
        return (try JSONSerialization.jsonObject(with: data) as? [String: Any])?["serial"] as? Int
    }

    @Test("a serial is remembered once its policy is in force, and not where the apply failed before")
    func remembered() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        defer { try? FileManager.default.removeItem(atPath: "\(place.stateDirectory)/bundle.json") }
        for step in [ApplyStep.checked, .filled, .attached] {
            #expect(throws: LoaderError.self) { try Self.apply(place, port: 80, serial: 5, until: step) }
            #expect(try Self.mark(place) == nil, "\(step)")
        }
        try Self.apply(place, port: 80, serial: 5)
        #expect(try Self.mark(place) == 5)
        #expect(throws: LoaderError.self) { try Self.apply(place, port: 81, serial: 9, until: .ready) }
        #expect(try Self.mark(place) == 5)
        // After the commit the new policy is in force, whatever fails then.
        #expect(throws: LoaderError.self) { try Self.apply(place, port: 81, serial: 9, until: .committed) }
        #expect(try Self.mark(place) == 9)
        try Self.apply(place, port: 81, serial: 9)
        // What changes nothing is remembered, too.
        try Self.apply(place, port: 81, serial: 10)
        #expect(try Self.mark(place) == 10)
    }

    @Test("what is older is refused before anything is looked at, also after a detach, unless that is allowed")
    func older() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        let mark = "\(place.stateDirectory)/bundle.json"
        defer { try? FileManager.default.removeItem(atPath: mark) }
        try Self.apply(place, port: 80, serial: 5)
        let before = try NodeSnapshot(fixture)
        #expect {
            try Self.apply(place, port: 81, serial: 4)
        } throws: {
            "\($0)".contains("its serial is 4, and 5 was applied") && "\($0)".contains("--allow-older")
        }
        #expect(try NodeSnapshot(fixture) == before)
        try Self.apply(place, port: 81, serial: 5)
        try place.detach()
        #expect(throws: LoaderError.self) { try Self.apply(place, port: 80, serial: 4) }
        #expect(try fixture.traces() == [mark])
        try Self.apply(place, port: 80, serial: 4, allowsOlder: true)
        #expect(try Self.mark(place) == 4)

        try Data("{".utf8).write(to: URL(fileURLWithPath: mark))
        #expect {
            try Self.apply(place, port: 81, serial: 6)
        } throws: {
            "\($0)".contains("bundle.json is damaged")
        }
        try Self.apply(place, port: 81, serial: 6, allowsOlder: true)
        #expect(try Self.mark(place) == 6)
        try place.detach()
    }
}
