/// Why a change has to go through the inactive slot, in one sentence.
package struct NotInPlace: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) { self.description = description }
}
