/**
 * An address of a sound that the browser really asks the controller for: what it plays twice it keeps by address, whoever
 * sits there, and the controller would not know that it was heard. The part behind # is not sent. Pure.
 */
export function freshly(src: string, who: string, round: number): string {
  return `${src}#${who}.${round}`;
}
