/** What to call somebody: as colleagues do, with the sign-in name beside it, which is the one that cannot be mistaken. */
export function called({ by, display_name }: { by: string; display_name: string }): string {
  return display_name && display_name !== by ? `${display_name} (${by})` : by;
}
