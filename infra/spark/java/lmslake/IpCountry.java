package lmslake;

import com.maxmind.db.CHMCache;
import com.maxmind.db.Reader;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.SparkEnv;
import org.apache.spark.sql.api.java.UDF1;

/**
 * IP address to ISO country code, or null: private, reserved, unknown, malformed and null input.
 *
 * The database (MaxMind format; records {"country_code": "XX"} or {"country": {"iso_code": "XX"}})
 * is the file that spark.lmslake.geoip.database names, read once per JVM into memory.
 */
public class IpCountry implements UDF1<String, String> {
  public static final String DATABASE_CONF = "spark.lmslake.geoip.database";
  private static final long serialVersionUID = 1L;
  private static final Map<String, Reader> READERS = new ConcurrentHashMap<>();
  private static final int REMEMBERED = 1 << 14;
  private transient Reader reader; // one look at the configuration per task, not per row
  private transient Map<String, String> known; // addresses repeat; "" stands for null

  @Override
  public String call(String text) throws IOException {
    if (text == null) {
      return null;
    }
    if (known == null || known.size() >= REMEMBERED) {
      known = new ConcurrentHashMap<>(REMEMBERED);
    }
    String code = known.get(text);
    if (code == null) {
      String found = lookUp(text);
      code = found == null ? "" : found;
      known.put(text, code);
    }
    return code.isEmpty() ? null : code;
  }

  private String lookUp(String text) throws IOException {
    byte[] bytes = IpLiteral.parse(text);
    if (bytes == null || !IpLiteral.isPublic(bytes)) {
      return null;
    }
    try {
      // From bytes: never a name lookup. IPv4-mapped IPv6 comes out as IPv4 here.
      return country(database().get(InetAddress.getByAddress(bytes), Map.class));
    } catch (UnknownHostException e) {
      throw new IllegalStateException(e); // only for a length other than 4 or 16
    }
  }

  /** The code in a record of either form; null where it has none. */
  public static String country(Map<?, ?> row) {
    if (row == null) {
      return null;
    }
    Object code = row.get("country_code");
    if (code == null && row.get("country") instanceof Map) {
      code = ((Map<?, ?>) row.get("country")).get("iso_code");
    }
    return code instanceof String && !((String) code).isEmpty() ? (String) code : null;
  }

  private Reader database() {
    if (reader == null) {
      String path = SparkEnv.get().conf().get(DATABASE_CONF);
      reader = READERS.computeIfAbsent(path, IpCountry::open);
    }
    return reader;
  }

  private static Reader open(String path) {
    try {
      return new Reader(new File(path), Reader.FileMode.MEMORY, new CHMCache());
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read the IP database " + path, e);
    }
  }
}
