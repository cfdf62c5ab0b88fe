/**
 * Checks whether the Host header of a request names this machine's loopback address. Pure.
 *
 * A web page can make its own name resolve to 127.0.0.1 (DNS rebinding) and then read what a loopback port shows to
 * everyone; the Host header of its requests still holds the page's name. Browsers resolve `*.localhost` to loopback
 * only.
 */
const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost\.?|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i

/** A request without the header does not come from a browser. */
export const isLoopbackHost = (host: string | undefined): boolean => host === undefined || LOOPBACK_HOST.test(host)
