/** The header of requests by which a store sends its objects to another one: what arrives so is not copied any further. */
export const COPY_HEADER = "x-hayloft-copy"
