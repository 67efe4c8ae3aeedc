package lmslake;

import java.util.regex.Pattern;

/** Strict reading of IPv4 and IPv6 literals. Java's own parser would ask DNS for anything else. */
final class IpLiteral {
  private static final int MAX_LENGTH = 45;
  private static final Pattern DECIMAL_OCTET = Pattern.compile("0|[1-9][0-9]{0,2}");
  private static final Pattern HEX_GROUP = Pattern.compile("[0-9A-Fa-f]{1,4}");

  private IpLiteral() {}

  /** 4 or 16 bytes, or null where the text is not a literal (no zone, port, brackets or space). */
  static byte[] parse(String text) {
    if (text == null || text.isEmpty() || text.length() > MAX_LENGTH) {
      return null;
    }
    return text.indexOf(':') < 0 ? parseV4(text) : parseV6(text);
  }

  private static byte[] parseV4(String text) {
    String[] octets = text.split("\\.", -1);
    if (octets.length != 4) {
      return null;
    }
    byte[] bytes = new byte[4];
    for (int i = 0; i < 4; i++) {
      if (!DECIMAL_OCTET.matcher(octets[i]).matches() || Integer.parseInt(octets[i]) > 255) {
        return null;
      }
      bytes[i] = (byte) Integer.parseInt(octets[i]);
    }
    return bytes;
  }

  private static byte[] parseV6(String text) {
    int gap = text.indexOf("::");
    if (gap >= 0 && text.indexOf("::", gap + 1) >= 0) {
      return null;
    }
    byte[] head = groups(gap < 0 ? text : text.substring(0, gap), gap < 0);
    byte[] tail = gap < 0 ? new byte[0] : groups(text.substring(gap + 2), true);
    if (head == null || tail == null) {
      return null;
    }
    int length = head.length + tail.length;
    // "::" stands for at least one group of zeros
    if (gap < 0 ? length != 16 : length > 14) {
      return null;
    }
    byte[] bytes = new byte[16];
    System.arraycopy(head, 0, bytes, 0, head.length);
    System.arraycopy(tail, 0, bytes, 16 - tail.length, tail.length);
    return bytes;
  }

  /** Groups between colons; the last may be a dotted IPv4 address where `atEnd`. */
  private static byte[] groups(String text, boolean atEnd) {
    if (text.isEmpty()) {
      return new byte[0];
    }
    String[] parts = text.split(":", -1);
    boolean isDotted = parts[parts.length - 1].indexOf('.') >= 0;
    if (isDotted && !atEnd || parts.length > 8) {
      return null;
    }
    int hexGroups = isDotted ? parts.length - 1 : parts.length;
    byte[] bytes = new byte[hexGroups * 2 + (isDotted ? 4 : 0)];
    for (int i = 0; i < hexGroups; i++) {
      if (!HEX_GROUP.matcher(parts[i]).matches()) {
        return null;
      }
      int group = Integer.parseInt(parts[i], 16);
      bytes[2 * i] = (byte) (group >> 8);
      bytes[2 * i + 1] = (byte) group;
    }
    if (isDotted) {
      byte[] dotted = parseV4(parts[hexGroups]);
      if (dotted == null) {
        return null;
      }
      System.arraycopy(dotted, 0, bytes, hexGroups * 2, 4);
    }
    return bytes;
  }

  /** False for addresses that belong to no country: private, local, documentation, multicast… */
  static boolean isPublic(byte[] bytes) {
    if (bytes.length == 16 && !isMappedV4(bytes)) {
      boolean isDocumentation = startsWith(bytes, 0, 0x20, 0x01, 0x0d, 0xb8);
      return (bytes[0] & 0xe0) == 0x20 && !isDocumentation; // 2000::/3 is all that is global
    }
    int offset = bytes.length - 4;
    int first = bytes[offset] & 0xff;
    int second = bytes[offset + 1] & 0xff;
    boolean isPrivate =
        first == 10 || first == 172 && second >> 4 == 1 || first == 192 && second == 168;
    boolean isLocal = first == 127 || first == 0 || first == 169 && second == 254;
    boolean isShared = first == 100 && second >> 6 == 1;
    boolean isBenchmark = first == 198 && second >> 1 == 9;
    boolean isDocumentation =
        startsWith(bytes, offset, 192, 0, 2)
            || startsWith(bytes, offset, 198, 51, 100)
            || startsWith(bytes, offset, 203, 0, 113);
    boolean isReserved = first >= 224 || startsWith(bytes, offset, 192, 0, 0);
    return !(isPrivate || isLocal || isShared || isBenchmark || isDocumentation || isReserved);
  }

  private static boolean startsWith(byte[] bytes, int offset, int... prefix) {
    for (int i = 0; i < prefix.length; i++) {
      if ((bytes[offset + i] & 0xff) != prefix[i]) {
        return false;
      }
    }
    return true;
  }

  private static boolean isMappedV4(byte[] bytes) {
    for (int i = 0; i < 10; i++) {
      if (bytes[i] != 0) {
        return false;
      }
    }
    return (bytes[10] & bytes[11] & 0xff) == 0xff;
  }
}
