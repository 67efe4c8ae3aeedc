package lmslake;

import io.delta.storage.S3SingleDriverLogStore;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Delta commits on S3 that two drivers cannot both win.
 *
 * Delta's own store for s3a keeps its mutual exclusion inside one JVM: a second driver overwrites
 * the first one's commit file and its rows are gone. This one lets the store decide, by a PUT with
 * "If-None-Match: *" (S3A calls it a conditional create). The loser gets
 * FileAlreadyExistsException, which Delta answers by checking for conflicts and trying the next
 * version.
 */
public class S3ConditionalLogStore extends S3SingleDriverLogStore {
  private static final String CONDITIONAL_CREATE = "fs.option.create.conditional.overwrite";

  public S3ConditionalLogStore(Configuration hadoopConf) {
    super(hadoopConf);
  }

  @Override
  public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration hadoopConf)
      throws IOException {
    if (overwrite) {
      super.write(path, actions, true, hadoopConf);
      return;
    }
    StringBuilder body = new StringBuilder();
    while (actions.hasNext()) {
      body.append(actions.next()).append('\n');
    }
    byte[] bytes = body.toString().getBytes(StandardCharsets.UTF_8);
    try {
      putIfAbsent(path, bytes, hadoopConf);
    } catch (IOException e) {
      if (!isRefused(e)) {
        throw e;
      }
      if (!isOurs(path, bytes, hadoopConf)) {
        throw alreadyExists(path, e);
      }
    }
  }

  private static void putIfAbsent(Path path, byte[] body, Configuration hadoopConf)
      throws IOException {
    FileSystem store = path.getFileSystem(hadoopConf);
    // Not try-with-resources: close() is the PUT, and after a failed write nothing may be sent.
    FSDataOutputStream out =
        (FSDataOutputStream)
            store.createFile(path).overwrite(false).recursive().must(CONDITIONAL_CREATE, true).build();
    out.write(body);
    out.close();
  }

  /**
   * True where the object that is in the way is this very commit: S3A sends a PUT again when its
   * answer was lost, and the store then refuses the second one. Taken for a conflict, Delta would
   * commit the same rows once more. A commit's txnId makes its bytes unique.
   */
  private static boolean isOurs(Path path, byte[] bytes, Configuration hadoopConf)
      throws IOException {
    if (!new String(bytes, StandardCharsets.UTF_8).contains("\"txnId\":")) {
      return false;
    }
    try (FSDataInputStream in = path.getFileSystem(hadoopConf).open(path)) {
      return Arrays.equals(in.readAllBytes(), bytes);
    }
  }

  /** 412: the object exists. 409: another conditional PUT of the same key is under way. */
  private static boolean isRefused(IOException e) {
    if (e instanceof org.apache.hadoop.fs.FileAlreadyExistsException) {
      return true;
    }
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      String message = String.valueOf(cause.getMessage());
      if (message.contains("Status Code: 412")
          || message.contains("PreconditionFailed")
          || message.contains("Status Code: 409")
          || message.contains("ConditionalRequestConflict")) {
        return true;
      }
    }
    return false;
  }

  private static IOException alreadyExists(Path path, IOException cause) {
    FileAlreadyExistsException exists = new FileAlreadyExistsException(path.toString());
    exists.initCause(cause);
    return exists;
  }
}
