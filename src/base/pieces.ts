/** Whose the pieces of a stream are: the caller's for good, or only lent until it asks for the next one. */
export type PieceOwner = "caller" | "reader"
